"""Batches of any size through a graph that was exported for one: shapes of Reshape that hold the batch size."""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper


def follow_batch(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    """New values for constant shapes of Reshape, so that a larger batch comes out larger.

    In a shape without −1 the first entry becomes −1; else, where it is the input's own first size, it becomes 0, which
    stands for that. For the batch that the graph was exported for this is the same shape.

    Requires: fixed sizes of the inputs, else nothing is to be done.
    """
    first = _batch(model.graph)
    if first is None:
        return {}
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # contradictory shapes; then the graph is taken at its word
        return {}
    sizes = {value.name: value for value in (*inferred.graph.value_info, *inferred.graph.input)}
    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, torch.Tensor] = {}
    for node in model.graph.node:
        if node.op_type != "Reshape" or node.domain or node.input[1] not in arrays:
            continue
        literal = any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute)
        shape = [int(size) for size in numpy_helper.to_array(arrays[node.input[1]]).reshape(-1)]
        if not shape or (literal and (0 in shape or -1 in shape)):  # a 0 would be no size of the input
            continue
        if -1 not in shape:
            shape[0] = -1
        elif _first_size(sizes.get(node.input[0])) == shape[0] == first:
            shape[0] = 0
        found[node.input[1]] = torch.tensor(shape, dtype=torch.int64)
    return found


def _batch(graph: onnx.GraphProto) -> int | None:
    """The first size of all inputs; None where one is open, or they differ."""
    constants = {tensor.name for tensor in graph.initializer}
    firsts = {_first_size(value) for value in graph.input if value.name not in constants}
    return firsts.pop() if len(firsts) == 1 else None


def _first_size(value: onnx.ValueInfoProto | None) -> int | None:
    if value is None or not value.type.tensor_type.HasField("shape") or not value.type.tensor_type.shape.dim:
        return None
    dim = value.type.tensor_type.shape.dim[0]
    return int(dim.dim_value) if dim.HasField("dim_value") else None
