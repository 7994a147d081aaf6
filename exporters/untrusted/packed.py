"""Constants that a file holds as two weights a byte, see :mod:`exporters.weights.nibbles`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from exporters.untrusted.tensors import to_array
from exporters.weights import nibbles


def unpacked_constants(nodes: Iterable[onnx.NodeProto], constants: Mapping[str, TensorProto]) -> dict[str, TensorProto]:
    """Unpacked weights of a graph by name, twice their bytes in the file; whatever is written otherwise is none."""
    makers = {name: node for node in nodes for name in node.output}
    found = dict[str, TensorProto]()
    for name, node in makers.items():
        tensor = _unpacked(name, node, makers, constants)
        if tensor is not None:
            found[name] = tensor
    return found


def _unpacked(
    name: str, reshape: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], constants: Mapping[str, TensorProto]
) -> TensorProto | None:
    gather = _maker(reshape, "Reshape", 0, makers)
    cast = None if gather is None else _maker(gather, "Gather", 1, makers)
    if gather is None or cast is None or not _is(cast, "Cast", 1) or not _is(gather, "Gather", 2):
        return None
    table, packed, shape = (constants.get(key) for key in (gather.input[0], cast.input[0], reshape.input[1]))
    if table is None or packed is None or shape is None:
        return None
    if (table.data_type, list(table.dims)) != (TensorProto.INT8, [256, 2]) or packed.data_type != TensorProto.UINT8:
        return None
    if shape.data_type != TensorProto.INT64 or len(shape.dims) != 1 or not 1 <= shape.dims[0] <= 4:
        return None
    axis = [attribute.i for attribute in gather.attribute if attribute.name == "axis"]
    kind = [attribute.i for attribute in cast.attribute if attribute.name == "to"]
    if axis not in ([], [0]) or kind not in ([TensorProto.INT32], [TensorProto.INT64]) or len(packed.dims) != 1:
        return None
    sides = [int(side) for side in to_array(shape)]
    if min(sides) < 1 or math.prod(sides) != 2 * packed.dims[0]:
        return None
    if not np.array_equal(to_array(table), nibbles.TABLE):
        return None
    return numpy_helper.from_array(nibbles.unpack(to_array(packed)).reshape(sides), name)


def _maker(node: onnx.NodeProto, op: str, place: int, makers: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    return makers.get(node.input[place]) if _is(node, op, 2) else None


def _is(node: onnx.NodeProto, op: str, inputs: int) -> bool:
    return node.op_type == op and node.domain in ("", "ai.onnx") and len(node.input) == inputs
