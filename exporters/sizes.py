"""Open sizes of a graph's inputs: which there are, and a copy that has them fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx


def inputs_of(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, ...]:
    """Inputs of a graph, without initializers that old files list among them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return tuple(value for value in model.graph.input if value.name not in constants)


def declared_shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...] | None:
    """Sizes of a value, a name or nothing for each that is open; None where even their number is."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)


def has_open_sizes(model: onnx.ModelProto) -> bool:
    """Whether an input leaves more open than its batch."""
    shapes = [declared_shape(value) for value in inputs_of(model)]
    return any(shape is None or any(not isinstance(size, int) for size in shape[1:]) for shape in shapes)


def fix_sizes(model: onnx.ModelProto, sizes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """A copy whose inputs have these sizes, all but an open batch, and whose values have those that follow."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in inputs_of(fixed):
        if value.name not in sizes or declared_shape(value) is None:
            continue
        for place, (dim, size) in enumerate(zip(value.type.tensor_type.shape.dim, sizes[value.name], strict=True)):
            if place and not dim.HasField("dim_value"):
                dim.dim_value = size
    del fixed.graph.value_info[:]
    for value in fixed.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")
    try:
        return onnx.shape_inference.infer_shapes(fixed, data_prop=True)
    except Exception:  # contradictory nodes; layers of unknown size then stay dense, with that reason
        return fixed
