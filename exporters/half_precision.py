"""Half precision → float32: weights, constants, casts, inputs and outputs of a graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_TYPED = ("dtype", "stash_type", "to")  # attributes that hold a type


def to_float32(model: onnx.ModelProto) -> bool:
    """Raise all of half precision in ``model``, in place, to float32; return whether there was any.

    Values of float32 hold every half-precision number, so weights stay as they are. Inputs and outputs change their
    type too.
    """
    changed = False
    for graph in _graphs(model.graph):
        tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))]
        for tensor in tensors:
            if tensor.data_type in _HALF:
                raised = numpy_helper.to_array(tensor).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(raised, tensor.name))
                changed = True
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in _TYPED and attribute.type == onnx.AttributeProto.INT and attribute.i in _HALF:
                    attribute.i = TensorProto.FLOAT
                    changed = True
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in _HALF:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
                changed = True
    return changed


def half_types(model: onnx.ModelProto) -> tuple[str, ...]:
    """Types of half precision that weights, constants, inputs or outputs of ``model`` have."""
    found = set()
    for graph in _graphs(model.graph):
        tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))]
        found |= {tensor.data_type for tensor in tensors}
        found |= {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    return tuple(TensorProto.DataType.Name(kind).lower() for kind in _HALF if kind in found)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _graphs(inner)
