"""Page about a network that is no bundle: its layers as they would be exported, and runs of `chita-edge bench`."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import device_bench
import exporters
import runtimes
from chita_edge.deploy.dense import dense_network, input_sizes, is_graph
from chita_edge.deploy.export import export
from chita_edge.deploy.result import built_layers
from chita_edge.export_config import ExportConfig
from chita_edge.latency.network import host_target, measure_network
from chita_edge.progress import Progress, silent
from chita_edge.report.bundle_page import report_page
from chita_edge.storage.atomic_file import check_free, write_file
from device_bench.bundle_models import DENSE_FILE, SPARSE_FILE


@dataclass(frozen=True)
class NetworkReport:
    """A page that was written: its file, what it says of each layer and of the whole, and its runs by label."""

    network: str
    target: str
    page: Path
    content: Mapping[str, Any]
    runs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        told = {key: self.content[key] for key in ("sparsity", "size_bytes", "layers", "notes")}
        return {
            "network": self.network,
            "target": self.target,
            "report": str(self.page),
            **told,
            "runs": list(self.runs),
        }


def report_network(
    model: str,
    runs: Sequence[Path] = (),
    *,
    target: str | None = None,
    out: Path | None = None,
    force: bool = False,
    device: str | None = None,
    sizes: Mapping[str, tuple[int, ...]] | None = None,
    weights: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> NetworkReport:
    """Write a page of a network's layers, their sizes, multiply-adds and the reason of each one's form.

    Args:
        model: a text that names the network, see `chita_edge.deploy.doors.open_network`.
        runs: results of `chita-edge bench`, to be shown.
        target: platform that layers would be exported for; this machine's, else arm64, when None.
        out: the page; ``NAME-TARGET.html`` here when None.
        force: replace it where it exists.
        device: where to measure the network now; nothing is measured when None.
        sizes: of inputs that leave theirs open, by name.
        weights: state dict of a registered network, or of one that the user's code makes.
        arguments: for the function of the user's code that makes the network.
        progress: told of the samples.

    Raises:
        UsageError, ExportError, PlanError, DeviceBenchError, FileWriteError: see `export` and `measure_network`.
    """
    name = target or host_target()
    runtimes.get_target(name)
    page = out or Path(f"{_file_name(model)}-{name}.html")
    check_free(page, force)
    taken: dict[str, device_bench.Results] = {}
    for path in runs:
        taken[_free(path.stem, taken)] = device_bench.load(path)
    opened = dense_network(model, sizes=sizes, weights=weights, arguments=arguments)
    dense = opened.graph
    shapes = {} if exporters.is_quantised(dense) else input_sizes(dense, sizes)
    if device is not None:
        plan = device_bench.BenchPlan(input_shapes=shapes, profile=True)
        taken[_free(device, taken)] = measure_network(
            model, plan, device=device, target=target, weights=weights, arguments=arguments, progress=progress
        ).results
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as scratch:
        dense_file, sparse_file = Path(scratch, DENSE_FILE), Path(scratch, SPARSE_FILE)
        exporters.save(dense, dense_file)
        exported = export(dense, ExportConfig(target=name), sizes=shapes)
        exporters.save(exported.model, sparse_file)
        content = {"notes": list(opened.notes)} | _content(
            model, name, exported, exporters.inspect(sparse_file), dense_file.stat().st_size
        )
        text = report_page(content, taken, dense_file)
    write_file(page, text.encode(), force)
    return NetworkReport(model, name, page, content, tuple(taken))


def _content(
    model: str, target: str, exported: exporters.SparseModel, file: exporters.FileReport, dense_bytes: int
) -> dict[str, Any]:
    """What a bundle's manifest says of a network, as far as it can be said without pruning or judging it."""
    built = {layer.name: asdict(layer) for layer in built_layers(exported.layers, exported.layers)}
    # Layers that a file holds in ops of ours already are not decided on anew.
    others = {row.name: _as_stored(row) for row in file.layers if row.name not in built}
    ends = {"input": file.inputs, "output": file.outputs}
    return {
        "kind": "network",
        "config": {
            "model": model,
            "target": target,
            **{kind: {name: "×".join(map(str, shape)) for name, shape in values} for kind, values in ends.items()},
            "other operators": ", ".join(f"{count} {op}" for op, count in file.other_ops) or None,
        },
        "versions": {tool: metadata.version(tool) for tool in ("chita-edge", "onnx", "onnxruntime")},
        "sparsity": file.sparsity,
        "size_bytes": {"dense": dense_bytes, "sparse": file.bytes},
        "layers": [*built.values(), *others.values()],
    }


def _as_stored(row: exporters.FileLayer) -> dict[str, Any]:
    return {
        "name": row.name,
        "shape": row.shape,
        "sparsity": row.sparsity,
        "format": row.format,
        "bytes": {"dense": row.bytes_dense, "sparse": row.bytes},
        "reason": row.reason or "the file stores it sparse",
    }


def _file_name(model: str) -> str:
    """Short name of the network, for the page's file."""
    if is_graph(model):
        return Path(model).stem
    from chita_edge.deploy.doors import short_name

    return short_name(model)


def _free(label: str, taken: Collection[str]) -> str:
    """The label, with a number behind it where another run has it."""
    numbered = (f"{label}-{number}" for number in itertools.count(2))
    return label if label not in taken else next(other for other in numbered if other not in taken)
