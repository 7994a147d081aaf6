"""Checks of QSequence nodes: grids, integers and their scales, sums that fit int32, shapes of every stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from exporters.errors import CsrError, MalformedModelError, TooLargeError
from exporters.ops import EdgeOp, Part
from exporters.untrusted.edge_weight import EdgeWeight
from exporters.untrusted.node_view import NodeView, Shape, window
from exporters.untrusted.tensors import to_array
from exporters.weights import blocks
from exporters.weights.dtypes import Array

_INT32 = 2**31 - 1
_LARGEST_PRODUCT = 255 * 128
_TYPES = {
    "y_scale": (TensorProto.FLOAT, "one float32 number"),
    "y_zero": (TensorProto.UINT8, "one uint8 number"),
    "w_scale": (TensorProto.FLOAT, "float32, one an output"),
    "bias": (TensorProto.INT32, "int32, one an output"),
    "table": (TensorProto.UINT8, "uint8 of 256 entries"),
    "W": (TensorProto.INT8, "int8"),
}


def check_q_weights(name: str, op: EdgeOp, tensors: Mapping[str, TensorProto]) -> tuple[EdgeWeight, ...]:
    """The weights of a QSequence node. Raises MalformedModelError, TooLargeError.

    tensors: the node's constants, by the op's names for them.
    """
    weights = list[EdgeWeight]()
    scales: list[np.float32] = [np.float32(1)]  # of each value's grid
    for part in op.parts:
        where = f"stage {part.suffix[1:]} ({part.op.name}) of node {name!r}"
        own = {key: tensors[key + part.suffix] for key in part.op.constants}
        arrays = {key: _array(key, tensor, where) for key, tensor in own.items()}
        source = scales[part.source]
        target = _scale(arrays["y_scale"], where) if "y_scale" in arrays else source
        scales.append(target)
        read = [source, *([] if part.residual is None else [scales[part.residual]])]
        if "w_scale" in arrays:
            weights.append(_weight(part, arrays, where))
            if not np.all(np.isfinite(arrays["w_scale"]) & (arrays["w_scale"] > 0)):
                raise MalformedModelError(f"a scale of the weight of {where} is not a positive number.")
            read = [source * factor for factor in (arrays["w_scale"].min(), arrays["w_scale"].max())]
        with np.errstate(over="ignore", divide="ignore"):
            if not np.all(np.isfinite(np.asarray(read, np.float32) / target)):
                raise MalformedModelError(f"the scales of {where} are too far apart for float32; export it again.")
    return tuple(weights)


def q_output_shapes(
    node: onnx.NodeProto, name: str, op: EdgeOp, weights: Sequence[EdgeWeight], source: Shape
) -> tuple[Shape, ...]:
    """Output shapes of the stages, the node's own last. Raises MalformedModelError."""
    shapes, by_suffix = [source], {weight.suffix: weight for weight in weights}
    if len(source) != 4:
        raise MalformedModelError(f"node {name!r} reads an input of {len(source)} dimensions, not 4; export it again.")
    for part in op.parts:
        where = f"stage {part.suffix[1:]} ({part.op.name}) of node {name!r}"
        second = None if part.residual is None else shapes[part.residual]
        shapes.append(_shape(part, node, where, shapes[part.source], second, by_suffix.get(part.suffix)))
    return tuple(shapes[1:])


def _array(key: str, tensor: TensorProto, where: str) -> Array:
    if key in _TYPES:
        kind, words = _TYPES[key]
        whole = {"y_scale": (), "y_zero": (), "table": (256,)}
        if tensor.data_type != kind or (key in whole and tuple(tensor.dims) != whole[key]):
            raise MalformedModelError(f"{key} of {where} is not {words}; export it again.")
    return to_array(tensor)


def _scale(array: Array, where: str) -> np.float32:
    scale = np.float32(array)
    if not (np.isfinite(scale) and scale > 0):
        raise MalformedModelError(f"the scale of {where} is {scale}, not a positive number; export it again.")
    return scale


def _weight(part: Part, arrays: Mapping[str, Array], where: str) -> EdgeWeight:
    rank = 2 if "Gemm" in part.op.name else 4
    if "W" in arrays:
        shape, kind = arrays["W"].shape, "depthwise" if part.op.name == "QDepthwiseConv" else "dense"
        longest = math.prod(shape[1:])
        if len(shape) != rank or 0 in shape:
            raise MalformedModelError(f"the weight of {where} is not int8 with {rank} dimensions; export it again.")
    else:
        given = arrays["weight_shape"]
        if given.dtype != np.int64 or given.shape != (rank,):
            raise MalformedModelError(f"weight_shape of {where} must be {rank} int64 numbers; export it again.")
        shape = tuple(int(side) for side in given)
        if min(shape) < 1 or math.prod(shape) > 2**40:
            raise TooLargeError(f"weight_shape {list(shape)} of {where} is no size of a weight.")
        try:
            found = blocks.validate(arrays["values"], arrays["col_idx"], arrays["row_ptr"], shape)
        except CsrError as error:
            raise MalformedModelError(f"{where} holds no valid blocks: {error}; export it again.") from error
        longest, kind = blocks.WIDTH * int(np.diff(found.row_ptr).max()), found.format
    for key in ("w_scale", "bias"):
        if arrays[key].shape != shape[:1]:
            raise MalformedModelError(f"{key} of {where} has not the {shape[0]} entries of its outputs.")
    bias = int(np.abs(arrays["bias"].astype(np.int64)).max())
    if bias + _LARGEST_PRODUCT * longest > _INT32:
        raise MalformedModelError(f"the sums of {where} could exceed int32; export it again, or leave it in float32.")
    # Without fusion a runtime holds the integers and float32 numbers of them.
    return EdgeWeight(part.op, part.suffix, shape, 5 * math.prod(shape), kind)


def _shape(
    part: Part, node: onnx.NodeProto, where: str, source: Shape, second: Shape | None, weight: EdgeWeight | None
) -> Shape:
    op = part.op.name
    if second is not None:
        fits = second == source or (op == "QMul" and second == (*source[:2], 1, 1))
        if not fits:
            raise MalformedModelError(f"{where} reads values of shapes {source} and {second}; export it again.")
        return source
    attributes = {one.name.removesuffix(part.suffix): one for one in node.attribute if one.name.endswith(part.suffix)}
    view = NodeView(where, op, (), {}, attributes)
    if op == "QGlobalAveragePool":
        return (*source[:2], 1, 1)
    if op == "QMaxPool":
        _need(attributes, ("kernel_shape", "strides", "pads"), where)
        kernel = view.numbers("kernel_shape", 2, 1, 0)
        if any(pad >= kernel[index % 2] for index, pad in enumerate(view.numbers("pads", 4, 0, 0))):
            raise MalformedModelError(f"the padding of {where} is as large as its kernel; export it again.")
        return (*source[:2], *window(view, source, kernel))
    if weight is None:
        return source
    shape = weight.shape
    channels = shape[0] if op == "QDepthwiseConv" else shape[1]
    if source[1] != channels or (len(shape) == 2 and source[2:] != (1, 1)):
        raise MalformedModelError(f"{where} has a weight of shape {shape} and an input of shape {source}.")
    if len(shape) == 2:
        return (source[0], shape[0]) if op.endswith("Float") else (source[0], shape[0], 1, 1)
    _need(attributes, ("strides", "pads", "dilations"), where)
    if op == "QDepthwiseConv" and (shape[1] != 1 or "group" not in attributes or attributes["group"].i != shape[0]):
        raise MalformedModelError(f"{where} is not depthwise with one kernel a channel; export it again.")
    return (source[0], shape[0], *window(view, source, shape[2:]))


def _need(attributes: Mapping[str, onnx.AttributeProto], names: Sequence[str], where: str) -> None:
    if not set(names) <= attributes.keys():
        raise MalformedModelError(f"{where} lacks {', '.join(names[:-1])} or {names[-1]}; export it again.")
