"""`chita-edge models`: list the networks that can be built."""

from __future__ import annotations

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@json_option
def models(as_json: bool) -> None:
    """List the networks that can be built."""
    from chita_edge.models import MODELS
    from chita_edge.report.models_table import model_rows, print_models

    if as_json:
        print_json(model_rows(MODELS.values()))
    else:
        print_models(MODELS.values())
