"""`chita-edge export`: write a pruned ONNX network as the one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Platform that the file is for, such as arm64.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "int8", "float32", "float16"]),
    default="auto",
    show_default=True,
    help="Of FILE; float16 stores its weights so.",
)
@click.option("--values", help="How sparse layers' weights are stored: float32 (default) or float16.")
@click.option(
    "--arithmetic", help="Of sparse convolutions: float32 (default) or, with --values float16, float16 on arm64."
)
@click.option("--force", is_flag=True, help="Replace --out.")
@json_option
def export(file: Path, out: Path, force: bool, as_json: bool, dtype: Any, **options: Any) -> None:
    """Make the layers of an ONNX FILE sparse where their zeros pay on a target.

    FILE is a network that any tool pruned and exported, in float32 or quantised (QDQ or QLinear ops). Nothing is pruned
    or rounded here: --out computes what FILE computes.
    """
    from chita_edge.config import ExportConfig, validated
    from chita_edge.deploy.export import export as to_one_file
    from chita_edge.report.export_table import export_json, print_export

    config = validated(ExportConfig, {name: value for name, value in options.items() if value is not None})
    exported = to_one_file(file, config, out=out, force=force, dtype=dtype)
    if as_json:
        print_json(export_json(out, exported))
    else:
        print_export(out, exported)
