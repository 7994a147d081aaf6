"""Prune a network with second-order information, export it sparse, and measure it where it will run.

The public names are loaded when they are first used, since torch and ONNX Runtime take seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chita_edge.config import BenchConfig, BuildConfig, ExportConfig
    from chita_edge.datasets import LabelledImages
    from chita_edge.datasets.transform import TransformConfig
    from chita_edge.deploy.any_network import prune
    from chita_edge.deploy.export import export
    from chita_edge.deploy.result import BuildResult, Latency
    from chita_edge.engine.config import PruneConfig
    from chita_edge.engine.result import PruneResult
    from chita_edge.errors import BundleTamperedError, ChitaEdgeError, UsageError
    from chita_edge.network.inputs import SeveralInputs
    from chita_edge.pipeline import bench, build
    from device_bench import BenchPlan
    from exporters import SparseModel

_HOMES = {
    "BenchConfig": "chita_edge.config",
    "BuildConfig": "chita_edge.config",
    "BuildResult": "chita_edge.deploy.result",
    "BundleTamperedError": "chita_edge.errors",
    "ChitaEdgeError": "chita_edge.errors",
    "ExportConfig": "chita_edge.config",
    "LabelledImages": "chita_edge.datasets",
    "Latency": "chita_edge.deploy.result",
    "BenchPlan": "device_bench",
    "PruneConfig": "chita_edge.engine.config",
    "PruneResult": "chita_edge.engine.result",
    "SeveralInputs": "chita_edge.network.inputs",
    "SparseModel": "exporters",
    "TransformConfig": "chita_edge.datasets.transform",
    "UsageError": "chita_edge.errors",
    "bench": "chita_edge.pipeline",
    "build": "chita_edge.pipeline",
    "export": "chita_edge.deploy.export",
    "prune": "chita_edge.deploy.any_network",
}

__all__ = [
    "BenchConfig",
    "BenchPlan",
    "BuildConfig",
    "BuildResult",
    "BundleTamperedError",
    "ChitaEdgeError",
    "ExportConfig",
    "LabelledImages",
    "Latency",
    "PruneConfig",
    "PruneResult",
    "SeveralInputs",
    "SparseModel",
    "TransformConfig",
    "UsageError",
    "bench",
    "build",
    "export",
    "prune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'chita_edge' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
