"""`chita-edge prune`: zeros in a state dict, that anyone can load and judge."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from chita_edge.commands.json_output import json_option, print_json

_DISTILL_EPOCHS = 20


@click.command()
@click.argument("model")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="State dict: .pt, or .safetensors.")
@click.option("--weights", type=click.Path(path_type=Path), help="State dict of the trained network.")
@click.option("--start", type=click.Path(path_type=Path), help="The network pruned already, to move to --structure.")
@click.option("--data", type=click.Path(path_type=Path), help="npz: x_calib, y_calib, x_val, y_val, or x, y.")
@click.option("--sparsity", type=float, help="Share of zeros among the prunable weights, in [0, 1). Default 0.8.")
@click.option("--method", help="How weights are chosen: a solver of the pruning engine.")
@click.option("--structure", help="Sparsity pattern. Default unstructured.")
@click.option(
    "--allocation", help="Budget over layers: global (default), balanced, uniform, erk, lamp, flops, latency."
)
@click.option("--calibration-images", type=int, help="How many are drawn. Default 1000, or all there are.")
@click.option("--seed", type=int, help="Draws the calibration images, and decides all that is random. Default 0.")
@click.option("--distill", is_flag=True, help=f"Then learn the dense network's answers, {_DISTILL_EPOCHS} epochs.")
@click.option("--distill-epochs", type=int, help="The same, so many passes over the calibration images.")
@click.option("--distill-seconds", type=float, help="The same, but no longer than that.")
@click.option("--gradual-steps", type=int, help="Alternate pruning and learning so often. Default 1.")
@click.option(
    "--resume", "--state", type=click.Path(path_type=Path), help="Folder that keeps finished work; goes on from there."
)
@click.option("--force", is_flag=True, help="Replace the file --out.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file with options of PruneConfig.")
@json_option
def prune(
    model: str,
    out: Path,
    weights: Path | None,
    start: Path | None,
    data: Path | None,
    calibration_images: int | None,
    distill: bool,
    resume: Path | None,
    force: bool,
    config_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Prune MODEL and write its state dict, with the network's own keys and zeros in place."""
    from chita_edge.calibration import ranks_from_environment
    from chita_edge.config import read_toml, validated
    from chita_edge.progress import silent
    from chita_edge.prune_config import PruneConfig
    from chita_edge.prune_to_file import prune_to_file, recommended
    from chita_edge.report.prune_table import print_prune
    from chita_edge.report.terminal import ProgressBars

    from_file = read_toml(config_file) if config_file else {}
    given = {**from_file, **{name: value for name, value in options.items() if value is not None}}
    values = {**recommended(), **given}
    wanted = distill or values.get("distill_seconds") is not None or values.get("gradual_steps", 1) != 1
    if wanted and "distill_epochs" not in values:
        values["distill_epochs"] = _DISTILL_EPOCHS
    config = validated(PruneConfig, values)
    with ranks_from_environment() as ranks, ProgressBars() if ranks.leads else nullcontext() as bars:
        try:
            result = prune_to_file(
                model,
                out,
                config,
                weights=weights,
                start=start,
                data=data,
                calibration_images=calibration_images,
                force=force,
                state_dir=resume,
                ranks=ranks,
                progress=bars or silent,
            )
        except KeyboardInterrupt:
            if resume is None:
                raise
            message = f"Interrupted; {out} was not written. The same command goes on from what is in {resume}."
            raise KeyboardInterrupt(message) from None
    if result is None:
        return
    if as_json:
        print_json(result.to_json())
    else:
        print_prune(result)
