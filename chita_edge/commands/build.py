"""`chita-edge build`: the whole way from a network to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("model")
@click.option("--target", required=True, help="Platform that the bundle is for, such as arm64.")
@click.option("--sparsity", type=float, help="Share of zeros among the prunable weights, in [0, 1). Default 0.8.")
@click.option("--method", help="How weights are chosen: a solver of the pruning engine.")
@click.option("--structure", help="Sparsity pattern. Default unstructured.")
@click.option("--allocation", help="Budget over layers: balanced (default), global, uniform, erk.")
@click.option("--values", help="How sparse layers' weights are stored: float32 (default) or float16.")
@click.option(
    "--arithmetic", help="Of sparse convolutions: float32 (default) or, with --values float16, float16 on arm64."
)
@click.option("--weights", type=click.Path(path_type=Path), help="State dict to prune instead of the embedded one.")
@click.option("--data", type=click.Path(path_type=Path), help="npz to use instead: x_calib, y_calib, x_val, y_val.")
@click.option("--calibration-images", type=int, help="Labelled images that the pruner sees.")
@click.option("--seed", type=int, help="Draws the calibration images. Default 0.")
@click.option("--threads", type=int, help="Threads of the measurement. Default 1.")
@click.option("--samples", type=int, help="Latency samples of each model, at least 50.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the bundle. Default MODEL-TARGET.")
@click.option("--force", is_flag=True, help="Replace the bundle in that folder once the new one is complete.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file with these options.")
@json_option
def build(
    model: str,
    target: str,
    weights: Path | None,
    data: Path | None,
    out: Path | None,
    force: bool,
    config_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Prune MODEL for a target, export, check, measure and bundle it."""
    from chita_edge import pipeline
    from chita_edge.config import BuildConfig, read_toml, validated
    from chita_edge.report.build_table import print_build
    from chita_edge.report.terminal import ProgressBars

    # The command line wins over the environment (click reads both into `options`), and both over the file.
    from_file = read_toml(config_file) if config_file else {}
    given = {name: value for name, value in options.items() if value is not None}
    config = validated(BuildConfig, {**from_file, **given, "model": model, "target": target})
    folder = out or Path(f"{model}-{target}")
    with ProgressBars() as progress:
        result = pipeline.build(config, folder, weights=weights, data=data, force=force, progress=progress)
    if as_json:
        print_json(result.to_json())
    else:
        print_build(result)
