"""The rules agree with ONNX's inference on sound nodes and refuse the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.errors import MalformedModelError
from exporters.untrusted.shapes import RULES, NodeView

IMAGE = (2, 6, 9, 7)
# Operators whose output is no float here.
INTEGERS = dict.fromkeys(("Cast", "Gather", "Shape"), TensorProto.INT64)
GOOD: list[tuple[str, list[tuple[int, ...]], dict[str, Any], dict[int, list[int]]]] = [
    ("Add", [(2, 1, 4), (3, 1)], {}, {}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}, {}),
    ("BatchNormalization", [IMAGE, (6,), (6,), (6,), (6,)], {}, {}),
    ("Clip", [IMAGE, ()], {}, {}),
    ("Concat", [IMAGE, (2, 1, 9, 7)], {"axis": -3}, {}),
    ("Conv", [IMAGE, (4, 3, 3, 3), (4,)], {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"dilations": [2, 3]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"auto_pad": "VALID", "kernel_shape": [3, 3]}, {}),
    ("Flatten", [IMAGE], {"axis": 2}, {}),
    ("Flatten", [IMAGE], {"axis": -1}, {}),
    ("Flatten", [IMAGE], {"axis": 4}, {}),
    ("Gemm", [(5, 2), (3, 5), (3,)], {"transA": 1, "transB": 1}, {}),
    ("GlobalAveragePool", [IMAGE], {}, {}),
    ("HardSwish", [IMAGE], {}, {}),
    ("MatMul", [(2, 1, 3, 4), (5, 4, 6)], {}, {}),
    ("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, {}),
    ("ReduceMean", [IMAGE, (2,)], {"keepdims": 0}, {1: [-1, 2]}),
    ("ReduceMean", [IMAGE, (1,)], {}, {1: [1]}),
    ("Reshape", [IMAGE, (3,)], {}, {1: [0, -1, 7]}),
    ("Cast", [(2,)], {"to": TensorProto.INT64}, {0: [5, 6]}),
    ("Gather", [(4,), (1,)], {"axis": 0}, {0: [2, 6, 9, 7], 1: [-1]}),
    ("Reshape", [IMAGE, (3,)], {"allowzero": 1}, {1: [2, -1, 7]}),
    ("Shape", [IMAGE], {}, {}),
    ("Shape", [IMAGE], {"start": 1, "end": -1}, {}),
    ("Shape", [IMAGE], {"start": -9, "end": 9}, {}),
    ("Softmax", [IMAGE], {"axis": -4}, {}),
    ("Squeeze", [(1, 6, 1, 7)], {}, {}),
    ("Squeeze", [(1, 6, 1, 7), (1,)], {}, {1: [-2]}),
    ("Transpose", [IMAGE], {"perm": [0, 2, 3, 1]}, {}),
    ("Transpose", [IMAGE], {}, {}),
    ("Unsqueeze", [(6, 7), (2,)], {}, {1: [0, -1]}),
]


def view(op: str, shapes: list[Any], attributes: dict[str, Any], constants: dict[int, list[int]]) -> NodeView:
    made = {key: helper.make_attribute(key, value) for key, value in attributes.items()}
    return NodeView("layer", op, tuple(shapes), constants, made)


@pytest.mark.parametrize(("op", "shapes", "attributes", "constants"), GOOD)
def test_sound_nodes_have_the_shape_that_onnx_infers(
    op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], constants: dict[int, list[int]]
) -> None:
    names = [f"i{index}" for index in range(len(shapes))]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "main",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for index, (name, shape) in enumerate(zip(names, shapes, strict=True))
            if index not in constants
        ],
        [helper.make_tensor_value_info("y", INTEGERS.get(op, TensorProto.FLOAT), None)],
        [numpy_helper.from_array(np.array(value, np.int64), names[index]) for index, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape
    assert RULES[op](view(op, shapes, attributes, constants)) == tuple(dim.dim_value for dim in inferred.dim)


BAD: list[tuple[str, list[Any], dict[str, Any], dict[int, list[int]]]] = [
    ("Add", [(2, 3), (2, 4)], {}, {}),
    ("Add", [(2, 3), None], {}, {}),
    ("BatchNormalization", [IMAGE, (6,), (6,), (6,), (5,)], {}, {}),
    ("BatchNormalization", [IMAGE, (6,), (6,), (6,), (6,)], {"training_mode": 1}, {}),
    ("Cast", [(2,)], {"to": TensorProto.INT64}, {}),
    ("Cast", [(2,)], {"to": TensorProto.FLOAT}, {0: [5, 6]}),
    ("Clip", [IMAGE, (2,)], {}, {}),
    ("Concat", [IMAGE, (2, 6, 9)], {"axis": 1}, {}),
    ("Concat", [IMAGE], {"axis": 4}, {}),
    ("Concat", [IMAGE], {}, {}),
    ("Conv", [IMAGE, (4, 3, 3, 3)], {}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"group": 0}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"group": -1}, {}),
    ("Conv", [IMAGE, (0, 6, 3, 3)], {}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3), (3,)], {}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"kernel_shape": [1, 1]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"strides": [0, 1]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"strides": [1]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"pads": [-1, 0, 0, 0]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"pads": [2**40, 0, 0, 0]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"dilations": [5, 1]}, {}),
    ("Conv", [IMAGE, (4, 6, 3, 3)], {"auto_pad": "OTHER"}, {}),
    ("Conv", [IMAGE[:3], (4, 6, 3)], {}, {}),
    ("Flatten", [IMAGE], {"axis": 5}, {}),
    ("Gather", [(4,), (1,)], {}, {0: [2, 6, 9, 7], 1: [4]}),
    ("Gather", [(4,), (1,)], {}, {0: [2, 6, 9, 7]}),
    ("Gather", [IMAGE, (1,)], {}, {1: [0]}),
    ("Gemm", [(2, 3), (2, 3)], {}, {}),
    ("Gemm", [(2, 3), (3, 1), (4,)], {}, {}),
    ("MatMul", [(3,), (3, 4)], {}, {}),
    ("MatMul", [(2, 3), (4, 3)], {}, {}),
    ("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "pads": [3, 0, 0, 0]}, {}),
    ("MaxPool", [IMAGE], {}, {}),
    ("ReduceMean", [IMAGE, (1,)], {}, {}),
    ("ReduceMean", [IMAGE, (1,)], {}, {1: [4]}),
    ("ReduceMean", [IMAGE, (2,)], {}, {1: [1, -3]}),
    ("Reshape", [IMAGE, (1,)], {}, {}),
    ("Reshape", [IMAGE, (2,)], {}, {1: [-1, -1]}),
    ("Reshape", [IMAGE, (2,)], {}, {1: [5, -1]}),
    ("Reshape", [IMAGE, (2,)], {}, {1: [2**32, 2**32]}),
    ("Reshape", [(4,), (2,)], {}, {1: [4, 0]}),
    ("Reshape", [(4,), (2,)], {"allowzero": 1}, {1: [0, 4]}),
    ("Reshape", [(4,), ()], {}, {1: [4]}),
    ("Softmax", [IMAGE], {"axis": 2**31}, {}),
    ("Squeeze", [IMAGE, (1,)], {}, {1: [0]}),
    ("Squeeze", [(1, 6), (1,)], {}, {1: [2**31]}),
    ("Squeeze", [(1, 6), (1,)], {}, {}),
    ("Transpose", [IMAGE], {"perm": [0, 1, 2, 2]}, {}),
    ("Transpose", [IMAGE], {"perm": [0, 1, 2, 2**31]}, {}),
    ("Unsqueeze", [(6, 7), (1,)], {}, {}),
    ("Unsqueeze", [(6, 7), (1,)], {}, {1: [3]}),
    ("Unsqueeze", [(6, 7), (2,)], {}, {1: [0, -4]}),
]


@pytest.mark.parametrize(("op", "shapes", "attributes", "constants"), BAD)
def test_other_nodes_are_refused(
    op: str, shapes: list[Any], attributes: dict[str, Any], constants: dict[int, list[int]]
) -> None:
    with pytest.raises(MalformedModelError, match="'layer'"):
        RULES[op](view(op, shapes, attributes, constants))
