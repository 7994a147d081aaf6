"""`chita-edge prune --dtype int8`: from a weights file and images to a network of integers, as standard ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import exporters
from chita_edge.deploy.doors import open_network, prunable_weights
from chita_edge.deploy.int8_door import named_as
from chita_edge.deploy.int8_network import Int8Network
from chita_edge.deploy.judge import Judge
from chita_edge.deploy.load import load_inputs
from chita_edge.deploy.make import compress_int8
from chita_edge.deploy.metric import ACCURACY
from chita_edge.deploy.qdq import to_qdq
from chita_edge.deploy.road import choose_road
from chita_edge.deploy.weights_file import Accuracy, PrunedFile
from chita_edge.engine.result import LayerFigures, PruneFigures
from chita_edge.engine.threads import torch_threads
from chita_edge.errors import UsageError
from chita_edge.progress import Progress, silent
from chita_edge.stopwatch import Stopwatch
from chita_edge.storage.atomic_file import check_free, write_file

if TYPE_CHECKING:
    from chita_edge.config import PruneFileConfig

SUFFIX = ".onnx"
SPARSITY = 0.75
"""Where none is given: there is no target whose costs a choice could go by."""


def compress_to_file(
    model: str,
    out: Path,
    config: PruneFileConfig,
    *,
    weights: Path | None = None,
    data: str | Path | None = None,
    validation: str | Path | None = None,
    force: bool = False,
    state_dir: Path | None = None,
    progress: Progress = silent,
) -> PrunedFile:
    """Prune and round a network together, and write it in quantise-dequantise ops to `out`.

    Args:
        model: the network, see `chita_edge.deploy.doors.open_network`.
        out: an ONNX file, written in one step at the end; `chita-edge export` makes its layers sparse for a target.
        config: how; dtype int8.
        weights: state dict of the trained network; the embedded one when None.
        data: samples to calibrate on, see `chita_edge.datasets.opened.open_data`; the embedded data set when None.
        validation: samples to judge on.
        force: replace `out`.
        state_dir: folder that keeps finished work; the same call goes on from there.
        progress: told of every stage.

    Raises:
        UsageError: `out` exists or is called otherwise, or an option is of float32 networks.
        ChitaEdgeError: a file cannot be read or written, or the network has no integer form.
    """
    if out.suffix != SUFFIX:
        raise UsageError(
            f"A state dict holds no scales, so an int8 network is written as ONNX; call it {out.with_suffix(SUFFIX)}."
        )
    check_free(out, force)
    entry = open_network(model, weights=weights, arguments=config.model_args)
    road = choose_road(config)
    road = replace(road, sparsity=SPARSITY if road.sparsity is None else road.sparsity)
    watch = Stopwatch()
    with torch_threads(config.prune.threads):
        inputs = load_inputs(
            entry,
            weights=weights,
            data=data,
            validation=validation,
            calibration_images=config.calibration_images,
            seed=config.prune.seed,
            transform=config.transform,
        )
        judge = None
        if inputs.validation is not None:
            judge = Judge.of(inputs.model, inputs.validation, metric=config.metric, better=config.better)
        before = None if judge is None else judge.network(inputs.model, f"{judge.metric.name} before", progress)
        prunable = prunable_weights(entry, inputs.model)
        with watch.timed("compress"):
            found = compress_int8(config, road, inputs, prunable, None, state_dir=state_dir, progress=progress)
        assert isinstance(found, Int8Network)  # noqa: S101 (there are no candidates at a given sparsity)
        after = None if judge is None else judge.network(found.network, f"{judge.metric.name} after", progress)
    made = to_qdq(found.network, inputs.images[:1])
    named_as(made, inputs.model)
    write_file(out, exporters.to_bytes(made), force)
    judged = None if before is None or after is None else Accuracy(before, after)
    figures = _figures(found, config, len(inputs.images), watch)
    metric = ACCURACY if judge is None else judge.metric
    return PrunedFile(model, out, len(inputs.images), figures, judged, metric, (*inputs.notes, *found.remarks))


def _figures(found: Int8Network, config: PruneFileConfig, samples: int, watch: Stopwatch) -> PruneFigures:
    layers = []
    for name in found.prunable:
        mask = found.network.layers[name].mask
        layers.append(LayerFigures(name, tuple(mask.shape), int(mask.sum()), 1 - float(mask.float().mean())))
    return PruneFigures(
        method="together",
        structure=found.structure,
        sparsity=found.sparsity,
        objective=None,
        trace=(),
        samples=samples,
        seconds=watch.seconds,
        layers=tuple(layers),
        threads=config.prune.threads,
        dense=() if found.told is None else found.told.dense,
        compared="" if found.told is None else found.told.compared,
    )
