"""Time of each layer of the manifest, from the times of nodes in ONNX Runtime's profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import exporters
from chita_edge.report.html_layers import LayerMilliseconds
from device_bench.results import OpTime, Results
from exporters.errors import ExportError

_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
# ONNX Runtime merges these into the node before, and calls the whole by the name or the output of one of them.
_MERGED = frozenset({"Add", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})
_LAYOUT = "_nchwc"  # what its layout for convolutions appends to a node's name
_LONGEST_CHAIN = 4

Aliases = Mapping[str, tuple[str, ...]]


def node_layers(model: Path) -> dict[str, tuple[str, ...]]:
    """For each name of a node or value the layers of an ONNX file whose work a runtime may do under it.

    Empty for a file that is missing or cannot be read: a page about a bundle does without the times of its layers.
    """
    if not model.is_file():
        return {}
    try:
        graph = exporters.load(model).graph
    except ExportError:
        return {}
    readers: dict[str, list[int]] = {}
    for number, node in enumerate(graph.node):
        for name in node.input:
            readers.setdefault(name, []).append(number)
    found: dict[str, tuple[str, ...]] = {}

    def add(name: str, layer: str) -> None:
        if name and layer not in found.get(name, ()):
            found[name] = (*found.get(name, ()), layer)

    for node in graph.node:
        if node.op_type not in _WEIGHTED:
            continue
        end = node
        add(node.output[0], node.name)
        for _ in range(_LONGEST_CHAIN):
            following = readers.get(end.output[0], [])
            if len(following) != 1 or graph.node[following[0]].op_type not in _MERGED:
                break
            end = graph.node[following[0]]
            add(end.name, node.name)
            add(end.output[0], node.name)
    return found


def attribute(profile: Sequence[OpTime], layers: Collection[str], aliases: Aliases) -> tuple[dict[str, float], float]:
    """Milliseconds of each layer, and of all nodes together that belong to no layer.

    A node is the layer of its name, or the one that its name can stand for and that no other node is. The time of a
    chain of layers is that of its last one.
    """
    meant = [_candidates(entry.node.removesuffix(_LAYOUT), layers, aliases) for entry in profile]
    certain = {one[0] for one in meant if len(one) == 1}
    times: dict[str, float] = {}
    other = 0.0
    for entry, candidates in zip(profile, meant, strict=True):
        left = candidates if len(candidates) == 1 else [layer for layer in candidates if layer not in certain]
        if len(left) == 1:
            times[left[0]] = times.get(left[0], 0.0) + entry.ms
        else:
            other += entry.ms
    return times, other


def _candidates(name: str, layers: Collection[str], aliases: Aliases) -> list[str]:
    if name in layers:
        return [name]
    chain = chain_of(name, layers)
    return list(chain[-1:]) if chain else [layer for layer in aliases.get(name, ()) if layer in layers]


def chain_of(name: str, layers: Collection[str]) -> tuple[str, ...]:
    """The layers of a node that is a chain of them; empty for any other node."""
    names = tuple(name.split("+"))
    return names if len(names) > 1 and all(layer in layers for layer in names) else ()


def layer_times(results: Results, layers: Collection[str], aliases: Aliases) -> LayerMilliseconds | None:
    """The times of `layers` in results with profiles of the models called dense and sparse; None without any."""
    profiles = {name: results.benchmark(name).profile for name in ("dense", "sparse") if name in results.names}
    if not any(profiles.values()):
        return None
    parts = {name: attribute(profile, layers, aliases) for name, profile in profiles.items() if profile}
    dense, other_dense = parts.get("dense", ({}, None))
    sparse, other_sparse = parts.get("sparse", ({}, None))
    chains = [chain_of(entry.node, layers) for entry in profiles.get("sparse", ())]
    merged = {layer: chain[-1] for chain in chains for layer in chain[:-1]}
    for chain in chains:
        if chain and dense:
            dense = {**dense, chain[-1]: sum(dense.get(layer, 0.0) for layer in chain)}
    device = results.context.device or "unknown device"
    return LayerMilliseconds(device, dense, sparse, other_dense, other_sparse, merged)
