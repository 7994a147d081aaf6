"""Whole models in standard ONNX, put together without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporters.ops import OPSET

Array = npt.NDArray[Any]


def sparse_weight(rng: np.random.Generator, shape: Sequence[int], density: float = 0.3) -> Array:
    """Random weight with zeros; its first and last rows are empty where there are three or more."""
    weight = rng.normal(size=shape).astype(np.float32)
    weight[rng.random(shape) >= density] = 0
    if shape[0] > 2:
        weight[[0, -1]] = 0
    return weight


def tiny() -> onnx.ModelProto:
    """Stem, depthwise, pointwise, pooling, classifier: the least network with every kind of layer."""
    rng = np.random.default_rng(7)
    weights = {
        "stem.weight": rng.normal(size=(8, 1, 3, 3)),
        "dw.weight": rng.normal(size=(8, 1, 3, 3)),
        "pw.weight": sparse_weight(rng, (16, 8, 1, 1)),
        "fc.weight": sparse_weight(rng, (10, 16)),
        "stem.bias": rng.normal(size=8),
        "dw.bias": rng.normal(size=8),
        "pw.bias": rng.normal(size=16),
        "fc.bias": rng.normal(size=10),
        "low": np.array(0.0),
        "high": np.array(6.0),
    }
    shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["input", "stem.weight", "stem.bias"], ["stem"], "stem", strides=[2, 2], **shape),
        helper.make_node("Clip", ["stem", "low", "high"], ["clip"], "clip"),
        helper.make_node("Conv", ["clip", "dw.weight", "dw.bias"], ["dw"], "dw", group=8, strides=[1, 1], **shape),
        helper.make_node("Relu", ["dw"], ["relu"], "relu"),
        helper.make_node("Conv", ["relu", "pw.weight", "pw.bias"], ["pw"], "pw", kernel_shape=[1, 1]),
        helper.make_node("Clip", ["pw", "low", "high"], ["clip_2"], "clip_2"),
        helper.make_node("GlobalAveragePool", ["clip_2"], ["pool"], "pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], "flat", axis=1),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def foreign() -> onnx.ModelProto:
    """A model of others: of any image size, with a branch, an LSTM, and a function and an op of other domains."""
    rng = np.random.default_rng(5)
    arrays: dict[str, Array] = {
        "conv.w": rng.normal(size=(6, 3, 3, 3)).astype(np.float16),
        "conv.b": np.zeros(6, np.float16),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        "starts": np.array([0], np.int64),
        "ends": np.array([4], np.int64),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "lstm.w": sparse_weight(rng, (1, 8, 5)),
        "lstm.r": sparse_weight(rng, (1, 8, 2)),
        "lstm.b": np.zeros((1, 16), np.float32),
        "yes": np.array(True),
        "words": np.array(["a", "bc"], object),
    }
    inner_weight = numpy_helper.from_array(sparse_weight(rng, (4, 4)), "inner.w")
    then = helper.make_graph(
        [
            helper.make_node("Constant", [], ["inner.w"], value=inner_weight),
            helper.make_node("MatMul", ["z", "inner.w"], ["a"], "inner"),
        ],
        "then",
        [],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Conv", ["z", "conv.w"], ["b"], "outer")],
        "else",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Pad", ["image", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "conv.w", "conv.b"], ["c"], "conv"),
        helper.make_node("Slice", ["c", "starts", "ends"], ["s"]),
        helper.make_node("Split", ["s"], ["s1", "s2"], num_outputs=2),
        helper.make_node("Resize", ["s1", "", "scales"], ["z"]),
        helper.make_node("LSTM", ["z", "lstm.w", "lstm.r", "lstm.b"], ["l"], hidden_size=2),
        helper.make_node("If", ["yes"], ["i"], "if", then_branch=then, else_branch=other),
        helper.make_node("Twice", ["i"], ["t"], domain="acme"),
        helper.make_node("Conv", ["t", "conv.w"], ["g"], domain="com.microsoft"),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT16, ["batch", 3, "height", None])],
        [helper.make_tensor_value_info("g", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 18), ("acme", 3), ("com.microsoft", 1))]
    twice = helper.make_function(
        "acme",
        "Twice",
        ["X"],
        ["Y"],
        [
            helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.ones(3, np.float32), "k")),
            helper.make_node("Add", ["X", "X"], ["Y"]),
        ],
        opsets[:1],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=opsets, functions=[twice])
