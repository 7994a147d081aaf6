"""Results of `build` and `bench` as data, for the tables, ``--json`` and the manifest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from chita_edge.deploy.candidates import Candidate
from chita_edge.deploy.metric import ACCURACY, Metric
from exporters import ExportedLayer

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class DenseSparse(Generic[Number]):
    """A figure of the dense network and the same of the sparse one."""

    dense: Number
    sparse: Number


@dataclass(frozen=True)
class Compared(Generic[Number]):
    """A figure of the dense float32 network, of ONNX Runtime's int8 of it, and of ours.

    `int8` is None where a bundle of an older version holds no such network, or where ONNX Runtime cannot make it.
    """

    dense: Number
    sparse: Number
    int8: Number | None = None

    def to_json(self) -> dict[str, Number]:
        """The figures that there are, by name, from the dense network's to ours."""
        figures = {"dense": self.dense, "int8": self.int8, "sparse": self.sparse}
        return {name: figure for name, figure in figures.items() if figure is not None}


@dataclass(frozen=True)
class BuiltLayer:
    """A layer, dense and as it was exported; `bytes` of its weights and bias in the file, `macs` for one image.

    `shape` is that of the weight in the file, `dense_shape` that of the dense network's, larger where whole filters or
    channels were removed; `sparsity` is the share of the dense network's weights that are zero or removed.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    sparsity: float
    nnz: int
    format: str
    reason: str
    bytes: DenseSparse[int]
    macs: DenseSparse[int]
    dense_shape: tuple[int, ...]

    @classmethod
    def of(cls, report: ExportedLayer, dense: ExportedLayer) -> BuiltLayer:
        """A layer as the exporter reports it, and the same layer of the dense network."""
        # A convolution over series has a height of 1 in an int8 file.
        smaller = math.prod(report.shape) != math.prod(dense.shape)
        kept = (
            f"{report.shape[0]} of {dense.shape[0]} filters and {report.shape[1]} of {dense.shape[1]} channels kept; "
        )
        return cls(
            name=report.name,
            op=report.op,
            shape=report.shape if smaller else dense.shape,
            sparsity=1 - report.nnz / math.prod(dense.shape) if smaller else report.sparsity,
            nnz=report.nnz,
            format=report.format,
            reason=kept + report.reason if smaller else report.reason,
            bytes=DenseSparse(dense.bytes_dense, report.bytes),
            macs=DenseSparse(dense.macs_dense, report.macs),
            dense_shape=dense.shape,
        )


def built_layers(made: Sequence[ExportedLayer], dense: Sequence[ExportedLayer]) -> tuple[BuiltLayer, ...]:
    """Each layer as it was exported beside the same one of the dense network.

    They are told apart by their names; a layer that the dense file does not have is compared with its own figures.
    """
    if len(made) == len(dense) and {one.name for one in made} != {one.name for one in dense}:
        return tuple(BuiltLayer.of(*pair) for pair in zip(made, dense, strict=True))
    known = {layer.name: layer for layer in dense}
    return tuple(BuiltLayer.of(layer, known.get(layer.name, layer)) for layer in made)


@dataclass(frozen=True)
class Latency:
    """Latency of a bundle's models, measured interleaved on `device`, in milliseconds, or counted in `unit`.

    `speedup` is the median of the dense over the median of the sparse samples, `speedup_interval` its 95 % bootstrap
    interval; `over_int8` the same of ONNX Runtime's int8: estimate, low, high. `warnings` say what made the machine
    unfit to measure on, if anything did.
    """

    device: str
    description: str
    threads: int
    samples: int
    p50: Compared[float]
    p90: Compared[float]
    min: Compared[float]
    speedup: float
    speedup_interval: tuple[float, float]
    warnings: tuple[str, ...]
    unit: str = "ms"
    over_int8: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The keys `latency_ms` (`instructions` where they were counted), `speedup`, `device`, and the spread."""
        what = "latency_ms" if self.unit == "ms" else self.unit
        over_int8: dict[str, Any] = {}
        if self.over_int8 is not None:
            over_int8 = {
                "speedup_over_int8": self.over_int8[0],
                "speedup_over_int8_interval": list(self.over_int8[1:]),
            }
        return {
            what: self.p50.to_json(),
            f"{what}_p90": self.p90.to_json(),
            f"{what}_min": self.min.to_json(),
            "speedup": self.speedup,
            "speedup_interval": list(self.speedup_interval),
            **over_int8,
            "device": self.device,
            "device_description": self.description,
            "threads": self.threads,
            "samples": self.samples,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class BuildResult:
    """Result of a build.

    `sparsity` is the share of zeros among the prunable weights; `accuracy` the share of test images classified
    correctly; `agreement` the largest difference from the pruned torch network relative to its largest logit;
    `not_measured` says in sentences which claims nobody should read into the figures. `dropped_runs` names the runs of
    the bundle that was replaced, where they were of another product and are gone with it. `reason` says why the network
    has this dtype; `candidates` are the networks that were looked at, where one was chosen among some.
    """

    bundle: Path
    model: str
    target: str
    dtype: str
    method: str
    structure: str
    sparsity: float
    accuracy: Compared[float]
    size_bytes: Compared[int]
    layers: tuple[BuiltLayer, ...]
    agreement: dict[str, float]
    latency: Latency
    not_measured: tuple[str, ...]
    dropped_runs: tuple[str, ...] = ()
    metric: Metric = ACCURACY
    judged_on: str = "test samples"
    notes: tuple[str, ...] = ()

    def judged_json(self) -> dict[str, Any]:
        """The keys `metric`, with its name and figures, and `accuracy` where that is the metric."""
        figures = self.accuracy.to_json()
        metric = {"name": self.metric.name, "better": self.metric.better, "on": self.judged_on, **figures}
        return {"metric": metric} | ({"accuracy": figures} if self.metric == ACCURACY else {})

    reason: str = ""
    remarks: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {
            "bundle": str(self.bundle),
            "model": self.model,
            "target": self.target,
            "dtype": self.dtype,
            "reason": self.reason,
            "method": self.method,
            "structure": self.structure,
            "sparsity": self.sparsity,
            **self.judged_json(),
            "size_bytes": self.size_bytes.to_json(),
            **self.latency.to_json(),
            "agreement": self.agreement,
            "layers": [asdict(layer) for layer in self.layers],
            "not_measured": list(self.not_measured),
            "dropped_runs": list(self.dropped_runs),
            "notes": list(self.notes),
            "remarks": list(self.remarks),
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }
