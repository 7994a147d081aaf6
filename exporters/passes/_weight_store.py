"""New initializers of a graph: each weight once, however many layers have it, under names that are free."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from exporters.ops import initializer
from exporters.weights.dtypes import Array


class WeightStore:
    """The weights that were added to ``graph``, by their content."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._stored: dict[bytes, dict[str, ir.Value]] = {}
        self._taken = {value.name for value in (*graph.inputs, *graph.initializers.values())}
        self._taken |= {value.name for node in graph for value in node.outputs}

    def get(self, layer: str, arrays: Mapping[str, Array]) -> dict[str, ir.Value]:
        """The initializers that hold ``arrays``: those of an earlier layer with the same, or new ones called LAYER.KEY.

        Arrays are the same only together: two layers share all of them, or none.
        """
        key = _digest(arrays)
        if key not in self._stored:
            self._stored[key] = {name: self._add(f"{layer}.{name}", array) for name, array in arrays.items()}
        return self._stored[key]

    def _add(self, name: str, array: Array) -> ir.Value:
        free, count = name, 1
        while free in self._taken:
            count += 1
            free = f"{name}_{count}"
        self._taken.add(free)
        value = initializer(free, array)
        self._graph.register_initializer(value)
        return value


def _digest(arrays: Mapping[str, Array]) -> bytes:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()
