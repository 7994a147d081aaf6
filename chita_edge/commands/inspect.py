"""`chita-edge inspect`: list the layers of an ONNX file."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("model")
@click.option("--weights", type=click.Path(path_type=Path), help="State dict of a network that is no file.")
@click.option("--model-arg", multiple=True, metavar="KEY=VALUE", help="Argument of MODEL's factory.")
@click.option("--input", multiple=True, metavar="NAME=SHAPE", help="Size of an open input: x=1x3x320x320.")
@json_option
def inspect(
    model: str,
    weights: Path | None,
    model_arg: tuple[str, ...],
    input: tuple[str, ...],  # noqa: A002 (the option's name)
    as_json: bool,
) -> None:
    """Show the layers of MODEL: op, shape, format, sparsity, bytes.

    MODEL is FILE.onnx, or another network that `chita-edge export` takes, which is shown as it would be exported.
    """
    import exporters
    from chita_edge.deploy.dense import dense_graph, is_graph
    from chita_edge.model_arguments import parse_arguments
    from chita_edge.report.inspect_table import inspection_json, print_inspection
    from device_bench.plan import parse_input_shapes

    if is_graph(model):
        report = exporters.inspect(model)
    else:
        dense = dense_graph(
            model, sizes=parse_input_shapes(input), weights=weights, arguments=parse_arguments(model_arg)
        )
        with tempfile.TemporaryDirectory(prefix="chita-edge-") as scratch:
            file = Path(scratch, "model.onnx")
            exporters.save(dense, file)
            report = replace(exporters.inspect(file), path=model)
    if as_json:
        print_json(inspection_json(report))
    else:
        print_inspection(report)
