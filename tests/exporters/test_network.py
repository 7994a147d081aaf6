"""What a cost model is told about a network."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper, parser

from exporters import Link, describe

NETWORK = """
<ir_version: 10, opset_import: ["" : 18]>
network (float[n, 3, 8, 8] x) => (float[n, 4] y)
<float[n, 8, 4, 4] stem, float[n, 8, 4, 4] act, float[n, 8, 2, 2] pooled, float[n, 8, 2, 2] deep,
 float[n, 8, 2, 2] point, float[n, 8, 2, 2] sum, float[n, 8, 1, 1] mean, float[n, 8] flat>
{
  stem = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, ws, b)
  act = Relu (stem)
  pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (act)
  deep = Conv <group = 8, pads = [1, 1, 1, 1]> (pooled, wd, b)
  point = Conv (deep, wp, b)
  sum = Add (point, pooled)
  mean = GlobalAveragePool (sum)
  flat = Flatten (mean)
  y = Gemm <transB = 1> (flat, wg, bg)
}
"""


def network() -> onnx.ModelProto:
    model = parser.parse_model(NETWORK)
    rng = np.random.default_rng(0)
    shapes = {"ws": (8, 3, 3, 3), "wd": (8, 1, 3, 3), "wp": (8, 8, 1, 1), "wg": (4, 8), "b": (8,), "bg": (4,)}
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(rng.standard_normal(shape, np.float32), name))
    for node in model.graph.node:
        node.name = node.output[0]
    return model


def test_layers_and_links() -> None:
    info = describe(network())
    assert [(layer.name, layer.op) for layer in info.layers] == [
        ("stem", "DenseConv"),
        ("deep", "DepthwiseConv"),
        ("point", "CsrConvAdd"),
        ("y", "CsrGemm"),
    ]
    assert info.links == (
        Link("stem", "deep", 32),
        Link("deep", "point", 32),
        Link("stem", "point", 32),
        Link("point", "y", 8),
    )


def test_the_model_is_left_as_it_was() -> None:
    model = network()
    before = model.SerializeToString()
    describe(model)
    assert model.SerializeToString() == before
