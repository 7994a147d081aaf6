"""A dense network as a cost model sees it: its layers, and which layer's output each of them reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporters.layers import Decide, SparsifyCandidate

if TYPE_CHECKING:
    import onnx_ir as ir

    from exporters.layers.layer import Layer


@dataclass(frozen=True)
class Link:
    """``target`` reads what ``source`` makes, directly or through pooling: ``elements`` floats an image."""

    source: str
    target: str
    elements: int


@dataclass(frozen=True)
class NetworkInfo:
    """All convolutions and linear layers in the graph's order, and the links between them.

    op of a layer: the op of ours that it could become (``DepthwiseConv``, and ``DenseConv`` for the stem, among them),
    ``Conv`` or ``Gemm`` where none can take its place.
    """

    layers: tuple[SparsifyCandidate, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class NetworkRule:
    """A rule that looks at the whole network before it decides on each of its layers."""

    decide: Callable[[NetworkInfo], Decide]


def network_of(layers: list[Layer]) -> NetworkInfo:
    """Describe these layers of a graph, and the links between them."""
    from exporters.layers.find import share_adds

    layers = share_adds(layers, lambda layer: layer.is_candidate)
    owners: dict[ir.Value, Layer] = {layer.last.outputs[0]: layer for layer in layers}
    links = []
    for layer in layers:
        for value in (layer.source, layer.residual):
            if value is None:
                continue
            links += [Link(name, layer.name, _elements(value)) for name in sorted(_makers(value, owners))]
    return NetworkInfo(tuple(layer.info() for layer in layers), tuple(links))


def _makers(value: ir.Value, owners: Mapping[ir.Value, Layer]) -> set[str]:
    """Names of the layers whose outputs reach ``value`` through no other layer."""
    found: set[str] = set()
    waiting, seen = [value], {value}
    while waiting:
        value = waiting.pop()
        if value in owners:
            found.add(owners[value].name)
            continue
        producer = value.producer()
        inputs = [] if producer is None else [entry for entry in producer.inputs if entry is not None]
        waiting += [entry for entry in inputs if entry not in seen]
        seen.update(inputs)
    return found


def _elements(value: ir.Value) -> int:
    """Floats that a layout of blocks of channels would reorder; signals have no such layout."""
    dims = () if value.shape is None or len(value.shape) == 3 else tuple(value.shape)[1:]
    return math.prod(dim for dim in dims if isinstance(dim, int)) if dims else 0
