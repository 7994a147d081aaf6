"""Whether stock ONNX Runtime multiplies int8 exactly on this processor."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


@cache
def products_are_exact() -> bool:
    """Whether a sum of products of 255 and 127 comes out right in ONNX Runtime.

    On processors with AVX2 or AVX-512 and without VNNI it adds pairs of products in 16 bits, which saturates.
    """
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    graph = helper.make_graph(
        [node],
        "products",
        [
            helper.make_tensor_value_info("a", TensorProto.UINT8, [1, 16]),
            helper.make_tensor_value_info("b", TensorProto.INT8, [16, 16]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"a": np.full((1, 16), 255, np.uint8), "b": np.full((16, 16), 127, np.int8)}
    (found,) = session.run(None, inputs)
    return bool((found == 16 * 255 * 127).all())
