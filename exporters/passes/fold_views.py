"""Views of constants → constants: Identity, Reshape, Squeeze, Transpose and Unsqueeze of an initializer.

Exporters leave them before scales that are a number a channel, and before weights that they store the other way round.
Ensures: no such node with constant inputs is left; nothing that is made is larger than what it is made from.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant, ints
from exporters.ops import initializer
from exporters.weights.dtypes import Array

_VIEWS = frozenset({"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


class FoldViews(ir.passes.InPlacePass):
    """Views of constants → constants."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in the graph's order, so that a view of a view is one too."""
        graph, changed = model.graph, False
        for node in list(graph):
            array = _viewed(node)
            if array is None or node.outputs[0].is_graph_output() or node.outputs[0].name in graph.initializers:
                continue
            old = node.outputs[0]
            value = initializer(f"{old.name}", array)
            old.replace_all_uses_with(value)
            graph.remove(node, safe=True)
            graph.register_initializer(value)
            changed = True
        return ir.passes.PassResult(model, changed)


def _viewed(node: ir.Node) -> Array | None:
    """What a view of a constant is; None for other nodes, and for views that ONNX would refuse."""
    source = constant(node.inputs[0]) if node.op_type in _VIEWS and not node.domain and node.inputs else None
    if source is None:
        return None
    second = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if len(node.inputs) > 1 and (second is None or second.dtype != np.int64 or second.ndim != 1):
        return None
    try:
        return _view(node, source, [] if second is None else [int(entry) for entry in second])
    except (ValueError, IndexError):
        return None


def _view(node: ir.Node, source: Array, numbers: list[int]) -> Array | None:
    if node.op_type == "Identity":
        return source
    if node.op_type == "Transpose":
        return np.transpose(source, ints(node, "perm", range(source.ndim)[::-1]))
    if node.op_type == "Squeeze":
        return np.squeeze(source, tuple(numbers) if len(node.inputs) > 1 else None)
    if node.op_type == "Unsqueeze":
        return np.expand_dims(source, tuple(numbers))
    if len(numbers) > 8 or "allowzero" in node.attributes:
        return None
    return source.reshape([source.shape[place] if size == 0 else size for place, size in enumerate(numbers)])
