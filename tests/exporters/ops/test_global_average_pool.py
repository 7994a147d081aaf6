"""The function body is ONNX's own pooling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from exporters.ops import DOMAIN, GLOBAL_AVERAGE_POOL, OPSET, VERSION, build_node


def test_body_is_the_mean(rng: np.random.Generator, with_bodies: Callable, run_stock: Callable) -> None:
    float32 = ir.TensorType(ir.DataType.FLOAT)
    x = ir.Value(name="X", shape=ir.Shape(["batch", 5, 3, 4]), type=float32)
    node, _ = build_node(GLOBAL_AVERAGE_POOL, "pool", {"X": x}, {}, {})
    y = node.outputs[0]
    y.name, y.shape, y.type = "Y", ir.Shape(["batch", 5, 1, 1]), float32
    graph = ir.Graph([x], [y], nodes=[node], opset_imports={"": OPSET, DOMAIN: VERSION}, name="main")
    model = with_bodies(ir.Model(graph, ir_version=10))
    onnx.checker.check_model(model, full_check=True)
    feeds = {"X": rng.normal(size=(2, 5, 3, 4)).astype(np.float32)}
    want = feeds["X"].mean((2, 3), keepdims=True)
    np.testing.assert_allclose(run_stock(model, feeds)[0], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, feeds)[0], want, rtol=1e-5, atol=1e-6)
