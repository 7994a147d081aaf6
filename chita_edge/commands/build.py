"""`chita-edge build`: the whole way from a network to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chita_edge.commands.json_output import json_option, print_json
from chita_edge.commands.options import configured, prune_options


@click.command()
@click.argument("model")
@click.option("--target", help="Platform that the bundle is for, such as arm64; needed here or in the file.")
@prune_options
@click.option("--max-drop", type=float, help="Points of accuracy that an unasked-for choice may cost. Default 1.0.")
@click.option("--values", help="How sparse layers' weights are stored: float32 (default) or float16.")
@click.option(
    "--arithmetic", help="Of sparse convolutions: float32 (default) or, with --values float16, float16 on arm64."
)
@click.option("--threads", type=int, help="Threads of the measurement. Default 1.")
@click.option("--samples", type=int, help="Latency samples of each model, at least 50.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the bundle. Default MODEL-TARGET.")
@click.option("--force", is_flag=True, help="Replace the bundle in that folder once the new one is complete.")
@json_option
def build(
    model: str,
    weights: Path | None,
    data: str | None,
    validation: str | None,
    resume: Path | None,
    out: Path | None,
    force: bool,
    config_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Prune MODEL for a target, export, check, measure and bundle it.

    MODEL is a name of `chita-edge models`, FILE.onnx, FILE.pt2, or package.module:factory or path/file.py:factory,
    which alone run code of yours.
    """
    from chita_edge import pipeline
    from chita_edge.config import BuildConfig, validated
    from chita_edge.deploy.doors import short_name
    from chita_edge.report.build_table import print_build
    from chita_edge.report.terminal import ProgressBars

    values = configured(config_file, options, "prune", "quantize", "export", "bench")
    config = validated(BuildConfig, {**values, "model": model})
    folder = out or Path(f"{short_name(model)}-{config.export.target}")
    with ProgressBars() as progress:
        result = pipeline.build(
            config,
            folder,
            weights=weights,
            data=data,
            validation=validation,
            force=force,
            state_dir=resume,
            progress=progress,
        )
    if as_json:
        print_json(result.to_json())
    else:
        print_build(result)
