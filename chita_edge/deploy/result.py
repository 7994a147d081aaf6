"""Results of `build` and `bench` as data, for the tables, ``--json`` and the manifest."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from exporters import ExportedLayer

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class DenseSparse(Generic[Number]):
    """A figure of the dense network and the same of the sparse one."""

    dense: Number
    sparse: Number


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
        smaller = report.shape != dense.shape
        kept = (
            f"{report.shape[0]} of {dense.shape[0]} filters and {report.shape[1]} of {dense.shape[1]} channels kept; "
        )
        return cls(
            name=report.name,
            op=report.op,
            shape=report.shape,
            sparsity=1 - report.nnz / math.prod(dense.shape) if smaller else report.sparsity,
            nnz=report.nnz,
            format=report.format,
            reason=kept + report.reason if smaller else report.reason,
            bytes=DenseSparse(dense.bytes_dense, report.bytes),
            macs=DenseSparse(dense.macs_dense, report.macs),
            dense_shape=dense.shape,
        )


@dataclass(frozen=True)
class Latency:
    """Latency of both models, measured interleaved on `device`, in milliseconds, or counted in `unit`.

    `speedup` is the median of the dense over the median of the sparse samples, `speedup_interval` its 95 % bootstrap
    interval; `warnings` say what made the machine unfit to measure on, if anything did.
    """

    device: str
    description: str
    threads: int
    samples: int
    p50: DenseSparse[float]
    p90: DenseSparse[float]
    min: DenseSparse[float]
    speedup: float
    speedup_interval: tuple[float, float]
    warnings: tuple[str, ...]
    unit: str = "ms"

    def to_json(self) -> dict[str, Any]:
        """The keys `latency_ms` (`instructions` where they were counted), `speedup`, `device`, and the spread."""
        what = "latency_ms" if self.unit == "ms" else self.unit
        return {
            what: asdict(self.p50),
            f"{what}_p90": asdict(self.p90),
            f"{what}_min": asdict(self.min),
            "speedup": self.speedup,
            "speedup_interval": list(self.speedup_interval),
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
    the bundle that was replaced, where they were of another product and are gone with it.
    """

    bundle: Path
    model: str
    target: str
    method: str
    structure: str
    sparsity: float
    accuracy: DenseSparse[float]
    size_bytes: DenseSparse[int]
    layers: tuple[BuiltLayer, ...]
    agreement: dict[str, float]
    latency: Latency
    not_measured: tuple[str, ...]
    dropped_runs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {
            "bundle": str(self.bundle),
            "model": self.model,
            "target": self.target,
            "method": self.method,
            "structure": self.structure,
            "sparsity": self.sparsity,
            "accuracy": asdict(self.accuracy),
            "size_bytes": asdict(self.size_bytes),
            **self.latency.to_json(),
            "agreement": self.agreement,
            "layers": [asdict(layer) for layer in self.layers],
            "not_measured": list(self.not_measured),
            "dropped_runs": list(self.dropped_runs),
        }
