"""`chita-edge inspect`: list the layers of an ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def inspect(file: Path, as_json: bool) -> None:
    """Show the layers of an ONNX FILE: op, shape, format, sparsity, bytes."""
    import exporters
    from chita_edge.report.inspect_table import inspection_json, print_inspection

    report = exporters.inspect(file)
    if as_json:
        print_json(inspection_json(report))
    else:
        print_inspection(report)
