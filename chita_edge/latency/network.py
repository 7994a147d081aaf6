"""Latency of a network that is no bundle: as it is, dense, and as it would be exported."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import device_bench
import exporters
import runtimes
from chita_edge.deploy.dense import dense_graph, input_sizes
from chita_edge.deploy.export import export
from chita_edge.errors import UsageError
from chita_edge.export_config import ExportConfig
from chita_edge.latency.measure import measure_models
from chita_edge.progress import Progress, silent
from device_bench.bundle_models import DENSE_FILE, SPARSE_FILE, models_in


def host_target() -> str:
    """Target of this machine's processor; arm64 where there is none."""
    platform = runtimes.host_platform()
    return next((name for name, one in runtimes.TARGETS.items() if platform in one.platforms.values()), "arm64")


def measure_network(
    model: str,
    plan: device_bench.BenchPlan,
    *,
    device: str = "local",
    target: str | None = None,
    weights: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> device_bench.Measurement:
    """Measure a network dense, and in the sparse form of its zeros that pays, in turns.

    Args:
        model: a text that names it, see `chita_edge.deploy.doors.open_network`.
        plan: how; its ``input_shapes`` are the sizes of inputs that are open.
        device: where.
        target: that the sparse form is for; the device's processor, arm64 unless it is this machine, when None.
        weights: state dict of a registered network, or of one that the user's code makes.
        arguments: for the function of the user's code that makes the network.
        out: the raw samples are kept there.
        progress: told of the samples.

    Raises:
        UsageError, ExportError, DeviceBenchError: there is no such network, or it cannot be measured.
    """
    dense = dense_graph(model, sizes=plan.input_shapes, weights=weights, arguments=arguments)
    if exporters.is_quantised(dense):
        raise UsageError(
            f"{model} is quantised: `chita-edge build` measures int8 beside the network that it came from."
        )
    shapes = input_sizes(dense, plan.input_shapes)
    config = ExportConfig(target=target or (host_target() if device == "local" else "arm64"))
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as scratch:
        exporters.save(dense, Path(scratch, DENSE_FILE))
        exporters.save(export(dense, config, sizes=shapes).model, Path(scratch, SPARSE_FILE))
        models = {name: replace(one, trusted=True) for name, one in models_in(scratch).items()}
        keep = None if out is None else lambda partial: partial.save(out)
        measured = measure_models(models, replace(plan, input_shapes=shapes), device, progress, keep=keep)
    if out is not None:
        measured.save(out)
    return measured
