"""The rules agree with ONNX's inference on sound nodes and refuse the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.errors import MalformedModelError
from exporters.untrusted.node_view import NodeView
from exporters.untrusted.shapes import RULES

IMAGE = (2, 6, 9, 7)
SIGNAL = (2, 6, 9)
# Operators whose output is no float here.
INTEGERS = dict.fromkeys(("ArgMax", "Cast", "Gather", "Range", "Shape", "Size"), TensorProto.INT64)
INTEGERS |= dict.fromkeys(("Equal", "Not"), TensorProto.BOOL)
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
    ("ArgMax", [IMAGE], {"axis": -1, "keepdims": 0}, {}),
    ("AveragePool", [SIGNAL], {"kernel_shape": [3], "strides": [2]}, {}),
    ("ConstantOfShape", [(2,)], {}, {0: [3, 0]}),
    ("Conv", [SIGNAL, (4, 6, 3), (4,)], {"pads": [1, 2], "strides": [2]}, {}),
    ("Conv", [(1, 2, 5, 6, 7), (4, 1, 3, 2, 1)], {"group": 2}, {}),
    ("ConvTranspose", [IMAGE, (6, 4, 3, 2)], {"strides": [2, 3], "output_padding": [1, 2], "pads": [1, 0, 0, 1]}, {}),
    ("ConvTranspose", [IMAGE, (6, 4, 3, 2)], {"group": 2, "dilations": [2, 2]}, {}),
    ("ConvTranspose", [SIGNAL, (6, 4, 3)], {"auto_pad": "SAME_UPPER", "strides": [2]}, {}),
    ("DepthToSpace", [(2, 12, 3, 5)], {"blocksize": 2, "mode": "CRD"}, {}),
    ("Dropout", [IMAGE], {}, {}),
    ("Elu", [IMAGE], {}, {}),
    ("Equal", [(2, 1), (3,)], {}, {}),
    ("Expand", [(3, 1), (3,)], {}, {1: [2, 3, 4]}),
    ("Gather", [IMAGE, (5, 4)], {"axis": 2}, {}),
    ("GatherElements", [(3, 4), (2, 4)], {"axis": 0}, {}),
    ("GatherND", [(2, 3, 4), (2, 5, 1)], {"batch_dims": 1}, {}),
    ("GridSample", [IMAGE, (2, 4, 5, 2)], {}, {}),
    ("GRU", [(7, 2, 5), (2, 12, 5), (2, 12, 4)], {"hidden_size": 4, "direction": "bidirectional"}, {}),
    ("InstanceNormalization", [IMAGE, (6,), (6,)], {}, {}),
    ("LayerNormalization", [IMAGE, (7,), (7,)], {"axis": -1}, {}),
    ("LSTM", [(7, 2, 5), (1, 16, 5), (1, 16, 4), (1, 32)], {"hidden_size": 4}, {}),
    ("MatMul", [(2, 3, 4), (4,)], {}, {}),
    ("Max", [(2, 1), (3,), (1, 1, 1)], {}, {}),
    ("MaxPool", [(1, 2, 5, 6, 7)], {"kernel_shape": [2, 2, 2]}, {}),
    ("Pad", [IMAGE, (8,)], {}, {1: [0, 0, 1, 2, 0, -1, 3, 4]}),
    ("Pad", [IMAGE, (4,), None, (2,)], {"mode": "reflect"}, {1: [1, 2, 3, 4], 3: [-1, 2]}),
    ("PRelu", [IMAGE, (6, 1, 1)], {}, {}),
    ("Range", [(), (), ()], {}, {0: [7], 1: [0], 2: [-2]}),
    ("ReduceMax", [IMAGE], {"keepdims": 0}, {}),
    ("ReduceSum", [IMAGE], {"noop_with_empty_axes": 1}, {}),
    ("Resize", [IMAGE, None, None, (4,)], {}, {3: [2, 6, 18, 3]}),
    ("Resize", [IMAGE, None, (2,)], {"axes": [2, 3]}, {2: [1.5, 0.5]}),
    ("ScatterElements", [(3, 4), (2, 4), (2, 4)], {}, {}),
    ("ScatterND", [(3, 4, 5), (6, 2), (6, 5)], {}, {}),
    ("Size", [IMAGE], {}, {}),
    ("Slice", [IMAGE, (2,), (2,), (2,), (2,)], {}, {1: [-1, 1], 2: [-99, 2**62], 3: [2, -1], 4: [-2, 3]}),
    ("Slice", [IMAGE, (1,), (1,)], {}, {1: [1], 2: [1]}),
    ("SpaceToDepth", [(2, 3, 4, 6)], {"blocksize": 2}, {}),
    ("Split", [IMAGE], {"axis": 1, "num_outputs": 1}, {}),
    ("Tile", [(2, 3), (2,)], {}, {1: [4, 0]}),
    ("TopK", [IMAGE, (1,)], {"axis": 2}, {1: [3]}),
    ("Where", [(2, 1), (3,), (4, 1, 1)], {}, {}),
]


def view(op: str, shapes: list[Any], attributes: dict[str, Any], constants: dict[int, list[Any]]) -> NodeView:
    made = {key: helper.make_attribute(key, value) for key, value in attributes.items()}
    whole = {key: value for key, value in constants.items() if all(isinstance(entry, int) for entry in value)}
    floats = {key: value for key, value in constants.items() if key not in whole}
    return NodeView("layer", op, tuple(shapes), whole, made, floats)


def first_shape(op: str, *given: Any) -> tuple[int, ...]:
    found = RULES[op](view(op, *given))
    return found[0] if isinstance(found, list) else found


def array(values: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    return np.array(values, np.int64 if all(isinstance(value, int) for value in values) else np.float32).reshape(shape)


@pytest.mark.parametrize(("op", "shapes", "attributes", "constants"), GOOD)
def test_sound_nodes_have_the_shape_that_onnx_infers(
    op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], constants: dict[int, list[int]]
) -> None:
    names = ["" if shape is None else f"i{index}" for index, shape in enumerate(shapes)]
    kinds = {"Where": {0: TensorProto.BOOL}, "GatherElements": {1: TensorProto.INT64}, "Gather": {1: TensorProto.INT64}}
    kinds |= {key: {1: TensorProto.INT64} for key in ("GatherND", "ScatterElements", "ScatterND")}
    made = TensorProto.FLOAT if op == "Gather" and 0 not in constants else INTEGERS.get(op, TensorProto.FLOAT)
    outputs = ["y", "index"] if op == "TopK" else ["y"]
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, **attributes)],
        "main",
        [
            helper.make_tensor_value_info(name, kinds.get(op, {}).get(index, TensorProto.FLOAT), shape)
            for index, (name, shape) in enumerate(zip(names, shapes, strict=True))
            if index not in constants and name
        ],
        [helper.make_tensor_value_info("y", made, None)],
        [numpy_helper.from_array(array(value, shapes[index]), names[index]) for index, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape
    assert first_shape(op, shapes, attributes, constants) == tuple(dim.dim_value for dim in inferred.dim)


def test_each_output_of_an_operator_of_several_has_its_shape() -> None:
    def rule(
        op: str, shapes: list[Any], attributes: dict[str, Any], constants: dict[int, list[int]], count: int
    ) -> Any:
        return RULES[op](replace(view(op, shapes, attributes, constants), outputs=count))

    assert rule("Split", [IMAGE], {"axis": 2, "num_outputs": 2}, {}, 2) == [(2, 6, 5, 7), (2, 6, 4, 7)]
    assert rule("Split", [IMAGE, (2,)], {"axis": 1}, {1: [5, 1]}, 2) == [(2, 5, 9, 7), (2, 1, 9, 7)]
    lstm = [(7, 2, 5), (1, 16, 5), (1, 16, 4)]
    assert rule("LSTM", lstm, {}, {}, 3) == [(7, 1, 2, 4), (1, 2, 4), (1, 2, 4)]
    assert rule("LSTM", lstm, {"layout": 1}, {}, 3) == [(7, 2, 1, 4), (7, 1, 4), (7, 1, 4)]
    assert rule("LayerNormalization", [IMAGE, (9, 7)], {"axis": 2}, {}, 3)[1:] == [(2, 6, 1, 1)] * 2
    for scale in ((3,), (6,)):  # of operator set 18, and of later ones
        assert rule("GroupNormalization", [IMAGE, scale, scale], {"num_groups": 3}, {}, 1) == IMAGE
    assert rule("MaxPool", [SIGNAL], {"kernel_shape": [2]}, {}, 2) == [(2, 6, 8)] * 2
    for sizes in ([5, 2], [6], [7, -1]):
        with pytest.raises(MalformedModelError, match="the parts"):
            rule("Split", [IMAGE, (len(sizes),)], {"axis": 1}, {1: sizes}, 2)


def test_integer_products_have_the_shape_of_those_of_floats() -> None:
    one, many, weight = (), (4,), (4, 6, 3, 3)
    window = {"pads": [1, 1, 1, 1]}
    for zeros in (one, (1,), many):
        shapes = [IMAGE, one, one, weight, zeros, zeros, one, one, many]
        assert first_shape("QLinearConv", shapes, window, {}) == (2, 4, 9, 7)
        assert first_shape("ConvInteger", [IMAGE, weight, one, zeros], window, {}) == (2, 4, 9, 7)
        assert first_shape("QLinearMatMul", [(5, 3), one, one, (3, 4), zeros, zeros, one, one], {}, {}) == (5, 4)
        assert first_shape("MatMulInteger", [(5, 3), (3, 4), one, zeros], {}, {}) == (5, 4)
    assert RULES["DynamicQuantizeLinear"](view("DynamicQuantizeLinear", [IMAGE], {}, {})) == [IMAGE, (), ()]
    assert first_shape("QuantizeLinear", [IMAGE, (6,), (6,)], {}, {}) == IMAGE
    assert first_shape("DequantizeLinear", [weight, many], {"axis": 0}, {}) == weight
    for op, shapes in (
        ("QLinearConv", [IMAGE, one, one, weight, (3,), one, one, one]),
        ("QLinearConv", [IMAGE, one, one, weight, one, one, one, one, (3,)]),
        ("ConvInteger", [IMAGE, weight, (6,), one]),
        ("QLinearMatMul", [(5, 3), (5, 1), one, (3, 4), one, one, one, one]),
        ("MatMulInteger", [(5, 2), (3, 4)]),
        ("QuantizeLinear", [IMAGE, (7,)]),
    ):
        with pytest.raises(MalformedModelError, match="'layer'"):
            RULES[op](view(op, shapes, {}, {}))


def test_older_operator_sets_say_some_things_in_attributes() -> None:
    assert first_shape("Slice", [IMAGE], {"starts": [1, 2], "ends": [3, -1], "axes": [2, 3]}, {}) == (2, 6, 2, 4)
    assert first_shape("Pad", [IMAGE], {"pads": [0, 0, 1, 1, 0, 0, 2, 2]}, {}) == (2, 6, 12, 10)
    assert first_shape("Upsample", [IMAGE], {"scales": [1.0, 1.0, 2.0, 0.5]}, {}) == (2, 6, 18, 3)
    assert first_shape("Upsample", [IMAGE, (4,)], {}, {1: [1.0, 1.0, 2.0, 2.0]}) == (2, 6, 18, 14)
    assert first_shape("Resize", [IMAGE, (4,)], {}, {1: [1.0, 1.0, 2.0, 2.0]}) == (2, 6, 18, 14)
    assert first_shape("TopK", [IMAGE], {"k": 2, "axis": 3}, {}) == (2, 6, 9, 2)
    assert first_shape("Split", [IMAGE], {"split": [6], "axis": 1}, {}) == IMAGE


BAD: list[tuple[str, list[Any], dict[str, Any], dict[int, list[int]]]] = [
    ("Add", [(2, 3), (2, 4)], {}, {}),
    ("Add", [(2, 3), None], {}, {}),
    ("BatchNormalization", [IMAGE, (6,), (6,), (6,), (5,)], {}, {}),
    ("BatchNormalization", [IMAGE, (6,), (6,), (6,), (6,)], {"training_mode": 1}, {}),
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
    ("Flatten", [IMAGE], {"axis": 5}, {}),
    ("Gather", [(4,), (1,)], {}, {0: [2, 6, 9, 7], 1: [4]}),
    ("Gemm", [(2, 3), (2, 3)], {}, {}),
    ("Gemm", [(2, 3), (3, 1), (4,)], {}, {}),
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
    ("ArgMax", [IMAGE], {"axis": 4}, {}),
    ("Cast", [(2,)], {"to": TensorProto.STRING}, {}),
    ("ConstantOfShape", [(2,)], {}, {0: [3, -1]}),
    ("ConstantOfShape", [(2,)], {}, {0: [3, 2**41]}),
    ("ConstantOfShape", [(2,)], {}, {}),
    ("Conv", [SIGNAL, (4, 6, 3, 3)], {}, {}),
    ("Conv", [(2, 6), (4, 6)], {}, {}),
    ("ConvTranspose", [IMAGE, (5, 4, 3, 2)], {}, {}),
    ("ConvTranspose", [IMAGE, (6, 4, 3, 2)], {"output_padding": [1, 0]}, {}),
    ("ConvTranspose", [IMAGE, (6, 4, 3, 2)], {"pads": [9, 0, 9, 0]}, {}),
    ("ConvTranspose", [IMAGE, (6, 4, 3, 2)], {"output_shape": [2**40, 1]}, {}),
    ("DepthToSpace", [(2, 6, 3, 5)], {"blocksize": 2}, {}),
    ("DepthToSpace", [(2, 6, 3, 5)], {"blocksize": 0}, {}),
    ("Expand", [(3, 1), (2,)], {}, {1: [3, -1]}),
    ("Expand", [(3, 1), (2,)], {}, {}),
    ("Gather", [(4,), (1,)], {"axis": 1}, {1: [0]}),
    ("GatherElements", [(3, 4), (2, 5)], {}, {}),
    ("GatherND", [(3, 4), (2, 3)], {}, {}),
    ("GridSample", [IMAGE, (2, 4, 5, 3)], {}, {}),
    ("GroupNormalization", [IMAGE, (4,), (4,)], {"num_groups": 4}, {}),
    ("InstanceNormalization", [IMAGE, (5,), (6,)], {}, {}),
    ("LSTM", [(7, 2, 5), (1, 16, 5), (1, 16, 3)], {}, {}),
    ("LSTM", [(7, 2, 5), (1, 16, 5), (1, 16, 4), (1, 31)], {}, {}),
    ("LSTM", [(7, 2, 5), (2, 16, 5), (2, 16, 4)], {}, {}),
    ("LayerNormalization", [IMAGE, (8,)], {}, {}),
    ("Pad", [IMAGE, (8,)], {}, {1: [0, 0, -8, 0, 0, 0, -8, 0]}),
    ("Pad", [IMAGE, (8,)], {"mode": "reflect"}, {1: [0, 0, 9, 0, 0, 0, 0, 0]}),
    ("Pad", [IMAGE, (4,)], {}, {1: [0, 0, 1, 0]}),
    ("Pad", [IMAGE, (8,)], {}, {}),
    ("PRelu", [(6,), IMAGE], {}, {}),
    ("Range", [(), (), ()], {}, {0: [7], 1: [0], 2: [0]}),
    ("Resize", [IMAGE, None, (4,)], {}, {2: [1.0, 1.0, float("nan"), 1.0]}),
    ("Resize", [IMAGE, None, (4,)], {}, {2: [1.0, 1.0, float("inf"), 1.0]}),
    ("Resize", [IMAGE, None, None, (4,)], {}, {3: [2, 6, -1, 3]}),
    ("Resize", [IMAGE, None, None, (4,)], {"keep_aspect_ratio_policy": "not_larger"}, {3: [2, 6, 1, 3]}),
    ("Resize", [IMAGE, None, None, (4,)], {}, {}),
    ("ScatterElements", [(3, 4), (2, 4), (2, 3)], {}, {}),
    ("ScatterND", [(3, 4, 5), (6, 2), (6, 4)], {}, {}),
    ("Slice", [IMAGE, (1,), (1,), (1,), (1,)], {}, {1: [0], 2: [1], 3: [0], 4: [0]}),
    ("Slice", [IMAGE, (1,), (1,), (1,)], {}, {1: [0], 2: [1], 3: [4]}),
    ("Slice", [IMAGE, (1,), (1,)], {}, {1: [0]}),
    ("Slice", [IMAGE, (5,), (5,)], {}, {1: [0] * 5, 2: [1] * 5}),
    ("Tile", [(2, 3), (2,)], {}, {1: [4, -1]}),
    ("TopK", [IMAGE, (1,)], {"axis": 2}, {1: [10]}),
    ("Upsample", [IMAGE], {"scales": [1.0, 1.0, 2.0]}, {}),
    ("Upsample", [IMAGE], {"scales": [1.0, 1.0, 2.0, -1.0]}, {}),
]


@pytest.mark.parametrize(("op", "shapes", "attributes", "constants"), BAD)
def test_other_nodes_are_refused(
    op: str, shapes: list[Any], attributes: dict[str, Any], constants: dict[int, list[int]]
) -> None:
    with pytest.raises(MalformedModelError, match="'layer'"):
        RULES[op](view(op, shapes, attributes, constants))
