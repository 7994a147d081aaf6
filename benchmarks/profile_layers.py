"""What each layer of a network costs inside the network: ONNX Runtime's own profile, dense and sparse, in turns."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from networks import dense_network, input_shape

import exporters
import runtimes
from exporters.layers.find import find_layers, share_adds

RUNS_A_BURST = 4
_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class Profiled:
    """Median microseconds by node name, and all of the reorders' time and floats."""

    microseconds: dict[str, float]
    reorder_us: float
    reorder_floats: float


@dataclass(frozen=True)
class LayerTimes:
    """A layer of the network and its microseconds: dense in ONNX Runtime, and in our op at each density."""

    info: exporters.SparsifyCandidate
    dense: float
    ours: tuple[float, ...]


def all_sparse(layer: exporters.SparsifyCandidate) -> exporters.Decision:
    return exporters.Decision(True, f"{layer.sparsity:.0%} zeros; every layer was asked for")


def profile(models: list[bytes], feed: dict[str, np.ndarray], bursts: int, isa: str | None) -> list[Profiled]:
    """Each model (the first in stock ONNX Runtime) in ``bursts`` bursts, the first run of each burst left out."""
    with tempfile.TemporaryDirectory() as folder:
        sessions = []
        for index, model in enumerate(models):
            prefix = str(Path(folder) / str(index))
            sessions.append(_session(model, prefix, isa if index else None, index > 0))
        for _ in range(bursts):
            for session in sessions:
                for _ in range(RUNS_A_BURST):
                    session.run(None, feed)
        return [_read(Path(session.end_profiling())) for session in sessions]


def _session(model: bytes, prefix: str, isa: str | None, sparse: bool) -> ort.InferenceSession:
    if sparse:
        return runtimes.session(model, isa=isa, profile=prefix)
    return runtimes.dense_session(model, profile=prefix)


def _read(path: Path) -> Profiled:
    times: dict[str, list[int]] = defaultdict(list)
    reorder: dict[str, float] = {}
    for event in json.loads(path.read_text(encoding="utf-8")):
        name = event["name"]
        if event.get("cat") != "Node" or not name.endswith(_SUFFIX):
            continue
        key = name.removesuffix(_SUFFIX).removesuffix("_nchwc")
        if event["args"]["op_name"].startswith("Reorder"):
            key = f"reorder:{name}:{event['args'].get('node_index')}"
            reorder[key] = int(event["args"]["output_size"]) / 4
        times[key].append(event["dur"])
    kept = {
        name: float(np.median([entry for index, entry in enumerate(own) if index % RUNS_A_BURST]))
        for name, own in times.items()
    }
    return Profiled(kept, sum(kept[key] for key in reorder), sum(reorder.values()))


def layer_times(name: str, densities: tuple[float, ...], bursts: int, isa: str | None) -> list[LayerTimes]:
    """Every convolution and linear layer of a network, but those that no op of ours can do."""
    dense = [dense_network(name, 1 - density) for density in densities]
    sparse = [exporters.to_bytes(exporters.to_sparse(one, all_sparse).model) for one in dense]
    feed = {"input": np.random.default_rng(0).standard_normal((1, *input_shape(name))).astype(np.float32)}
    first, *others = profile([exporters.to_bytes(dense[0]), *sparse], feed, bursts, isa)
    found = []
    for layer in share_adds(find_layers(ir.from_proto(dense[0]).graph), lambda layer: layer.is_candidate):
        names = [node.name or "" for node in layer.nodes]
        dense_us = next((first.microseconds[key] for key in reversed(names) if key in first.microseconds), None)
        ours = [other.microseconds.get(layer.name) for other in others]
        stays = any(node.name == layer.name and not node.domain for node in onnx.load_from_string(sparse[0]).graph.node)
        if dense_us is None or stays:
            continue
        found.append(LayerTimes(layer.info(), dense_us, tuple(entry for entry in ours if entry is not None)))
    return found


def reorder_cost(isa: str | None) -> float:
    """Microseconds a float of bringing activations from one layout to the other: every second layer sparse."""
    dense = dense_network("mobilenet_v1", 0.5)
    names = [layer.name for layer in exporters.describe(dense).layers if layer.op == "CsrConv"]

    def alternate(layer: exporters.SparsifyCandidate) -> exporters.Decision:
        return exporters.Decision(layer.name in names[::2], "every second one")

    mixed = exporters.to_bytes(exporters.to_sparse(dense, alternate).model)
    feed = {"input": np.zeros((1, *input_shape("mobilenet_v1")), np.float32)}
    found = profile([exporters.to_bytes(dense), mixed], feed, 10, isa)[1]
    return found.reorder_us / found.reorder_floats
