"""Latency of a network that is no bundle: as it is, dense, and as it would be exported."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

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


def measure_network(
    model: str,
    plan: device_bench.BenchPlan,
    *,
    device: str = "local",
    out: Path | None = None,
    progress: Progress = silent,
) -> device_bench.Measurement:
    """Measure a network dense, and in the sparse form of its zeros that pays, in turns.

    Args:
        model: a text that names it, see `chita_edge.deploy.doors.open_network`.
        plan: how; its ``input_shapes`` are the sizes of inputs that are open.
        device: where; the sparse form is for its processor, arm64 unless it is this machine.
        out: the raw samples are kept there.
        progress: told of the samples.

    Raises:
        UsageError, ExportError, DeviceBenchError: there is no such network, or it cannot be measured.
    """
    target = next(
        (name for name, one in runtimes.TARGETS.items() if runtimes.host_platform() in one.platforms.values()), "arm64"
    )
    dense = dense_graph(model, sizes=plan.input_shapes)
    if exporters.is_quantised(dense):
        raise UsageError(
            f"{model} is quantised: `chita-edge build` measures int8 beside the network that it came from."
        )
    shapes = input_sizes(dense, plan.input_shapes)
    config = ExportConfig(target=target if device == "local" else "arm64")
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as scratch:
        exporters.save(dense, Path(scratch, DENSE_FILE))
        exporters.save(export(dense, config, sizes=shapes).model, Path(scratch, SPARSE_FILE))
        models = {name: replace(one, trusted=True) for name, one in models_in(scratch).items()}
        keep = None if out is None else lambda partial: partial.save(out)
        measured = measure_models(models, replace(plan, input_shapes=shapes), device, progress, keep=keep)
    if out is not None:
        measured.save(out)
    return measured
