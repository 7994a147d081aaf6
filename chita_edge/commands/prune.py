"""`chita-edge prune`: zeros in a state dict, that anyone can load and judge."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from chita_edge.commands.json_output import json_option, print_json
from chita_edge.commands.options import configured, prune_options


@click.command()
@click.argument("model")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="State dict: .pt, .safetensors; .pt2 of a program; .onnx of int8 or ONNX.",
)
@click.option("--start", type=click.Path(path_type=Path), help="The network pruned already, to move to --structure.")
@prune_options
@click.option("--force", is_flag=True, help="Replace the file --out.")
@json_option
def prune(
    model: str,
    out: Path,
    weights: Path | None,
    start: Path | None,
    data: str | None,
    validation: str | None,
    resume: Path | None,
    force: bool,
    config_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Prune MODEL and write its state dict, with the network's own keys and zeros in place.

    MODEL is a name of `chita-edge models`, FILE.onnx, FILE.pt2, or package.module:factory or path/file.py:factory,
    which alone run code of yours.

    With --dtype int8, or where --out of a torch network ends in .onnx, weights are rounded as well, and --out is
    standard ONNX.
    """
    from chita_edge.calibration import ranks_from_environment
    from chita_edge.config import PruneFileConfig, validated
    from chita_edge.deploy.int8_file import SUFFIX, compress_to_file
    from chita_edge.deploy.weights_file import PrunedFile, prune_to_file
    from chita_edge.errors import UsageError
    from chita_edge.progress import silent
    from chita_edge.report.prune_table import print_prune
    from chita_edge.report.terminal import ProgressBars

    config = validated(PruneFileConfig, configured(config_file, options, "prune", "quantize"))
    is_graph = model.endswith(SUFFIX)
    is_int8 = config.dtype == "int8" or (config.dtype == "auto" and out.suffix == SUFFIX and not is_graph)
    if config.dtype == "float16":
        raise UsageError("A state dict holds float32; float16 is how `chita-edge export --dtype float16` stores it.")
    if is_int8 and start is not None:
        raise UsageError("A conversion (--start) is of float32 networks; leave it out, or --dtype int8.")
    with ranks_from_environment() as ranks, ProgressBars() if ranks.leads else nullcontext() as bars:
        try:
            if is_int8:
                if ranks.size > 1:
                    raise UsageError("An int8 network is made by one process; start it alone.")
                result: PrunedFile | None = compress_to_file(
                    model,
                    out,
                    config,
                    weights=weights,
                    data=data,
                    validation=validation,
                    force=force,
                    state_dir=resume,
                    progress=bars or silent,
                )
            else:
                result = prune_to_file(
                    model,
                    out,
                    config.prune,
                    arguments=config.model_args,
                    weights=weights,
                    start=start,
                    data=data,
                    validation=validation,
                    calibration_images=config.calibration_images,
                    transform=config.transform,
                    metric=config.metric,
                    better=config.better,
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
