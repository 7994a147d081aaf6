"""Deterministic part of manifest.json: config, versions, layers, accuracy. Contains no timings."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

import runtimes
from chita_edge.config import BuildConfig
from chita_edge.deploy.result import BuildResult
from chita_edge.quantization import QuantisedNetwork

_TOOLS = ("chita-edge", "numpy", "onnx", "onnxruntime", "onnxscript", "torch")


def manifest_content(
    config: BuildConfig, result: BuildResult, integers: QuantisedNetwork | None = None
) -> dict[str, Any]:
    """Resolved configuration, tool versions, layers and decisions, accuracy, sizes, and what was not measured.

    Of an int8 network also the grid of each activation, the scales of weights being in the file; and the candidates
    where there were some.
    """
    more: dict[str, Any] = {}
    if integers is not None:
        grids = {name: {"scale": grid.scale, "zero": grid.zero} for name, grid in integers.grids.items()}
        more["activations"] = grids
    if result.candidates:
        more["candidates"] = [candidate.to_json() for candidate in result.candidates]
    return more | {
        "config": config.model_dump(mode="json", exclude={"prune": {"scratch_dir"}}),
        "versions": {"python": platform.python_version()} | {tool: metadata.version(tool) for tool in _TOOLS},
        "dtype": result.dtype,
        "reason": result.reason,
        "remarks": list(result.remarks),
        "sparsity": result.sparsity,
        **result.judged_json(),
        "size_bytes": result.size_bytes.to_json(),
        "agreement": result.agreement,
        "layers": [asdict(layer) for layer in result.layers],
        "break_even": runtimes.get_target(config.export.target).cost_provenance,
        "not_measured": list(result.not_measured),
        **({"notes": list(result.notes)} if result.notes else {}),
    }


def not_measured(target: runtimes.Target) -> tuple[str, ...]:
    """Sentences that name the measurements a reader may expect and that were not made."""
    if runtimes.host_platform() in target.platforms.values():
        return ()
    return (
        f"latency on {target.name}; to measure it, copy this bundle to a Linux device with that processor and "
        "chita-edge installed, and run `chita-edge bench BUNDLE` there.",
        f"from which sparsity a layer pays on {target.name}: {target.cost_provenance}.",
    )
