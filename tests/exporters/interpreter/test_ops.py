"""Every operator of the interpreter against ONNX Runtime, or ONNX's reference where ONNX Runtime differs from it."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

from exporters.interpreter import OnnxNetwork
from exporters.interpreter.ops import OPS

F = np.float32
IMAGE, ROWS = (2, 4, 7, 6), (3, 5)


def ints(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


UNARY = (
    *("Abs", "Asinh", "Atan", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "GlobalAveragePool"),
    *("GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "LogSoftmax", "Mish"),
    *("Neg", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Swish"),
    *("Tan", "Tanh", "ThresholdedRelu"),
)
BOUNDED = ["Acos", "Asin", "Atanh"]
POSITIVE = ["Log", "Sqrt", "Reciprocal", "Acosh"]
ARITHMETIC = ["Add", "Sub", "Mul", "Max", "Min", "Mean", "Sum"]
COMPARISONS = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]
REDUCTIONS = [name for name in OPS if name.startswith("Reduce")]

# (operator, inputs: a shape of random floats, an array, or None for one left out; attributes)
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    *((name, [IMAGE], {}) for name in UNARY),
    *((name, ["bounded"], {}) for name in BOUNDED),
    *((name, ["positive"], {}) for name in POSITIVE),
    *((name, [IMAGE, (4, 1, 1)], {}) for name in ARITHMETIC),
    *((name, [IMAGE, (7, 6)], {}) for name in COMPARISONS),
    *((name, [IMAGE, ints(1, -1)], {"keepdims": keep}) for name in REDUCTIONS for keep in (0, 1)),
    ("ReduceSum", [IMAGE], {}),
    ("ReduceMean", [IMAGE, None], {"keepdims": 0}),
    *((name, [np.array([True, False]), np.array([True, True])], {}) for name in ("And", "Or", "Xor")),
    ("Not", [np.array([True, False])], {}),
    ("Div", [IMAGE, "positive"], {}),
    ("Div", [ints(-7, 7, 8), ints(2, -2, 3)], {}),
    ("Pow", ["positive", floats(1.5)], {}),
    ("Pow", [ROWS, ints(2)], {}),
    ("Mod", [ints(-7, 7), ints(3, -3)], {}),
    ("Mod", [floats(-7.5, 7.5), floats(2, -2)], {"fmod": 1}),
    ("Clip", [IMAGE, np.float32(-0.3), np.float32(0.4)], {}),
    ("Clip", [IMAGE, None, np.float32(0.4)], {}),
    ("PRelu", [IMAGE, (4, 1, 1)], {}),
    ("Where", [np.array([[True], [False], [True]]), ROWS, (5,)], {}),
    ("Cast", [ROWS], {"to": onnx.TensorProto.INT32}),
    ("Dropout", [ROWS], {}),
    ("CumSum", [ROWS, np.int64(1)], {"exclusive": 1, "reverse": 1}),
    ("ArgMax", [IMAGE], {"axis": 1, "keepdims": 0}),
    ("ArgMin", [floats(1, 0, 0, 2)], {"select_last_index": 1}),
    ("TopK", [ROWS, ints(2)], {"axis": 0, "largest": 0}),
    ("Conv", [IMAGE, (6, 4, 3, 3), (6,)], {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
    ("Conv", [IMAGE, (8, 1, 3, 2)], {"group": 4, "dilations": [2, 1]}),
    ("Conv", [IMAGE, (6, 4, 2, 2)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("Conv", [(2, 4, 9), (6, 4, 3)], {"pads": [2, 0]}),
    ("Conv", [(1, 2, 5, 5, 5), (3, 2, 3, 3, 3)], {}),
    ("ConvTranspose", [IMAGE, (4, 3, 2, 2)], {"strides": [2, 2]}),
    ("ConvTranspose", [IMAGE, (4, 3, 3, 3), (3,)], {"strides": [2, 2], "pads": [1, 1, 0, 0]}),
    ("ConvTranspose", [IMAGE, (4, 3, 3, 3)], {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ("Gemm", [ROWS, (5, 4), (4,)], {"alpha": 0.5, "beta": 2.0}),
    ("Gemm", [(5, 3), (4, 5), (1, 4)], {"transA": 1, "transB": 1}),
    ("MatMul", [(2, 3, 5), (5, 4)], {}),
    ("MatMul", [(2, 3, 5), (2, 5, 4)], {}),
    ("Einsum", [(2, 3, 5), (2, 4, 5)], {"equation": "bij,bkj->bik"}),
    ("MaxPool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 1, 0]}),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "count_include_pad": 1, "pads": [0, 1, 1, 0]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("BatchNormalization", [IMAGE, "p4", (4,), (4,), "p4"], {"epsilon": 1e-3}),
    ("InstanceNormalization", [IMAGE, (4,), (4,)], {}),
    ("GroupNormalization", [IMAGE, (4,), (4,)], {"num_groups": 2}),
    ("LayerNormalization", [IMAGE, (7, 6), (7, 6)], {"axis": 2}),
    ("RMSNormalization", [IMAGE, (6,)], {}),
    ("LRN", [(2, 9, 3, 3)], {"size": 5, "alpha": 0.5, "beta": 0.6, "bias": 1.5}),
    ("LpNormalization", [IMAGE], {"axis": 1, "p": 1}),
    ("MeanVarianceNormalization", [IMAGE], {"axes": [2, 3]}),
    ("LSTM", [(5, 2, 3), (2, 16, 3), (2, 16, 4), (2, 32)], {"hidden_size": 4, "direction": "bidirectional"}),
    ("LSTM", [(5, 2, 3), (1, 16, 3), (1, 16, 4), None, None, (1, 2, 4), (1, 2, 4), (1, 12)], {"hidden_size": 4}),
    ("GRU", [(5, 2, 3), (1, 12, 3), (1, 12, 4), (1, 24)], {"hidden_size": 4, "direction": "reverse"}),
    ("GRU", [(5, 2, 3), (1, 12, 3), (1, 12, 4), (1, 24)], {"hidden_size": 4, "linear_before_reset": 1}),
    ("RNN", [(5, 2, 3), (1, 4, 3), (1, 4, 4), (1, 8)], {"hidden_size": 4}),
    *(
        ("Resize", [IMAGE, None, floats(1, 1, 2, 0.6)], {"mode": mode, "coordinate_transformation_mode": how})
        for mode in ("nearest", "linear", "cubic")
        for how in ("half_pixel", "asymmetric", "pytorch_half_pixel")
    ),
    (
        "Resize",
        [IMAGE, None, None, ints(2, 4, 13, 9)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    *(
        ("Resize", [IMAGE, None, floats(1, 1, 1.5, 1.5)], {"nearest_mode": how})
        for how in ("floor", "ceil", "round_prefer_ceil", "round_prefer_floor")
    ),
    ("Resize", [IMAGE, None, None, ints(3, 12)], {"axes": [2, 3]}),
    ("GridSample", [IMAGE, "grid"], {"align_corners": 1, "padding_mode": "border"}),
    ("Concat", [ROWS, (3, 2)], {"axis": -1}),
    ("ConstantOfShape", [ints(2, 3)], {}),
    ("DepthToSpace", [(2, 8, 3, 2)], {"blocksize": 2}),
    ("DepthToSpace", [(2, 8, 3, 2)], {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", [(2, 3, 4, 6)], {"blocksize": 2}),
    ("Expand", [(3, 1), ints(2, 1, 4)], {}),
    ("Flatten", [IMAGE], {"axis": -1}),
    ("Gather", [IMAGE, np.array([[0, -1], [2, 1]])], {"axis": 1}),
    ("Gather", [ROWS, np.int64(1)], {}),
    ("GatherElements", [ROWS, np.array([[0, -1], [2, 1]])], {"axis": 0}),
    ("GatherND", [IMAGE, np.array([[0, 1], [1, -1]])], {}),
    ("NonZero", [np.array([[0, 1], [2, 0]], F)], {}),
    ("OneHot", [ints(0, -1, 2), np.int64(4), floats(-1, 5)], {"axis": 0}),
    ("Pad", [IMAGE, ints(0, 0, 1, 2, 0, 0, 3, 0), np.float32(1.5)], {}),
    ("Pad", [IMAGE, ints(2, 1, 0, 3), None, ints(2, 3)], {"mode": "reflect"}),
    ("Pad", [IMAGE, ints(0, 0, 1, 2, 0, 0, 3, -1)], {"mode": "edge"}),
    ("Range", [np.int64(2), np.int64(11), np.int64(3)], {}),
    ("Reshape", [IMAGE, ints(0, -1, 6)], {}),
    ("ScatterND", [ROWS, np.array([[0], [2]]), (2, 5)], {}),
    ("Shape", [IMAGE], {"start": 1}),
    ("Size", [IMAGE], {}),
    ("Slice", [IMAGE, ints(-1, 1), ints(-100, 5), ints(2, 3), ints(-2, 2)], {}),
    ("Slice", [IMAGE, ints(1), ints(1000)], {}),
    ("Split", [IMAGE, ints(1, 3)], {"axis": 1}),
    ("Split", [IMAGE], {"axis": 2, "num_outputs": 2}),
    ("Squeeze", [(1, 3, 1, 2), ints(0, -2)], {}),
    ("Squeeze", [(1, 3, 1, 2)], {}),
    ("Tile", [ROWS, ints(2, 3)], {}),
    ("Transpose", [IMAGE], {"perm": [0, 2, 3, 1]}),
    ("Transpose", [IMAGE], {}),
    ("Trilu", [(4, 5), np.int64(1)], {"upper": 0}),
    ("Unsqueeze", [ROWS, ints(0, -1)], {}),
    ("CastLike", [ROWS, ints(1)], {}),
    # What the interpreter leaves to ONNX Runtime.
    ("Hardmax", [ROWS], {}),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "outputs": 2}),
    ("Resize", [IMAGE, None, floats(1, 1, 0.5, 0.5)], {"mode": "linear", "antialias": 1}),
    ("LSTM", [(5, 2, 3), (1, 16, 3), (1, 16, 4), None, np.array([5, 3], np.int32)], {"hidden_size": 4}),
]
_OUTPUTS = {"TopK": 2, "LSTM": 3, "GRU": 2, "RNN": 2, "Split": 2}


def _array(given: Any, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    named = {
        "bounded": lambda: rng.uniform(-0.9, 0.9, IMAGE),
        "positive": lambda: rng.uniform(1.1, 2, IMAGE),
        "p4": lambda: rng.uniform(0.5, 2, 4),
        "grid": lambda: rng.uniform(-1.2, 1.2, (2, 3, 4, 2)),
    }
    if isinstance(given, str):
        return np.asarray(named[given](), F)
    return rng.standard_normal(given).astype(F) if isinstance(given, tuple) else np.asarray(given)


@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_an_operator_computes_what_onnx_runtime_does(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    rng = np.random.default_rng(zlib.crc32(op.encode()))
    attributes = dict(attributes)
    outputs = attributes.pop("outputs", _OUTPUTS.get(op, 1))
    arrays = {f"x{n}": _array(given, rng) for n, given in enumerate(inputs) if given is not None}
    names = ["" if given is None else f"x{n}" for n, given in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{n}" for n in range(outputs)], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in arrays.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    version = {"Swish": 24, "RMSNormalization": 23, "GroupNormalization": 21}.get(op, 20)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10)
    got = OnnxNetwork(model)(*(torch.from_numpy(array) for array in arrays.values()))
    got = (got,) if isinstance(got, torch.Tensor) else got
    if op == "Swish":
        expected = [arrays["x0"] / (1 + np.exp(-arrays["x0"]))]
    else:
        expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, arrays)
    assert len(got) == len(expected)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.shape == np.shape(theirs)
        np.testing.assert_allclose(mine.detach().numpy(), theirs, rtol=1e-4, atol=1e-5)


def test_every_operator_has_a_case() -> None:
    assert set(OPS) - {case[0] for case in CASES} == {"Constant"}
