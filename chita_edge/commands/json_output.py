"""The option `--json` of every verb: one object on standard output instead of tables."""

from __future__ import annotations

import json
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")


def print_json(value: Any) -> None:
    """Print `value` on standard output; ValueError for what JSON does not know, such as NaN."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))
