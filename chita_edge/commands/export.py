"""`chita-edge export`: write a pruned ONNX network as the one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("model")
@click.option("--target", required=True, help="Platform that the file is for, such as arm64.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "int8", "float32", "float16"]),
    default="auto",
    show_default=True,
    help="Of MODEL; float16 stores its weights so.",
)
@click.option("--values", help="How sparse layers' weights are stored: float32 (default) or float16.")
@click.option(
    "--arithmetic", help="Of sparse convolutions: float32 (default) or, with --values float16, float16 on arm64."
)
@click.option("--weights", type=click.Path(path_type=Path), help="State dict of a network that is no file.")
@click.option("--model-arg", multiple=True, metavar="KEY=VALUE", help="Argument for MODEL's factory, typed as in TOML.")
@click.option("--input", multiple=True, metavar="NAME=SHAPE", help="Size of an open input: x=1x3x320x320.")
@click.option("--force", is_flag=True, help="Replace --out.")
@json_option
def export(
    model: str,
    out: Path,
    force: bool,
    as_json: bool,
    dtype: Any,
    weights: Path | None,
    model_arg: tuple[str, ...],
    input: tuple[str, ...],  # noqa: A002 (the option's name)
    **options: Any,
) -> None:
    """Make the layers of a pruned network sparse where their zeros pay on a target.

    MODEL is FILE.onnx, in float32 or quantised (QDQ or QLinear ops), whatever tool pruned and exported it; or FILE.pt2,
    a name of `chita-edge models`, or package.module:factory or path/file.py:factory, which alone run code of yours.
    Nothing is pruned or rounded here: --out computes what MODEL computes.
    """
    from chita_edge.deploy.export import export as to_one_file
    from chita_edge.export_config import ExportConfig
    from chita_edge.model_arguments import parse_arguments
    from chita_edge.report.export_table import export_json, print_export
    from chita_edge.validation import validated
    from device_bench.plan import parse_input_shapes

    config = validated(ExportConfig, {name: value for name, value in options.items() if value is not None})
    exported = to_one_file(
        model,
        config,
        out=out,
        force=force,
        dtype=dtype,
        sizes=parse_input_shapes(input),
        weights=weights,
        arguments=parse_arguments(model_arg),
    )
    if as_json:
        print_json(export_json(out, exported))
    else:
        print_export(out, exported)
