"""Stock ONNX Runtime computes the same codes from the same integers, written as quantise-dequantise ops."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from small_networks import pictures, settled
from torch import nn

from chita_edge.quantization import CompressionConfig, QuantisedNetwork, compress


class Convolutions(nn.Module):
    """Strided, depthwise, pointwise and grouped convolutions with and without activations."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16),
            nn.Conv2d(16, 8, 3, 1, 1, groups=2), nn.ReLU(),
            nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.body(x).mean((2, 3)))


def written(network: QuantisedNetwork) -> tuple[onnx.ModelProto, list[str]]:
    """The convolutions as one file, and their names; each one's codes are an output."""
    steps = [step for step in network.graph.steps if step.layer is not None and step.layer.is_convolution]
    names = [step.name for step in steps]
    first = steps[0].inputs[0]
    initializers: list[onnx.TensorProto] = []

    def put(name: str, value: object, dtype: type) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    for name in (first, *names):
        put(f"{name}/scale", network.grids[name].scale, np.float32)
        put(f"{name}/zero", network.grids[name].zero, np.uint8)
    nodes = [helper.make_node("QuantizeLinear", ["images", f"{first}/scale", f"{first}/zero"], [f"{first}/codes"])]
    for step in steps:
        name, source, layer, geometry = step.name, step.inputs[0], network.layers[step.name], step.weights
        unit = np.float32(network.grids[source].scale) * layer.scale.numpy()
        put(f"{name}/w", layer.weight.numpy(), np.int8)
        put(f"{name}/s", layer.scale.numpy(), np.float32)
        put(f"{name}/b", layer.bias.numpy(), np.int32)
        put(f"{name}/u", unit, np.float32)
        dequantise = [
            ([f"{source}/codes", f"{source}/scale", f"{source}/zero"], f"{name}/x", {}),
            ([f"{name}/w", f"{name}/s"], f"{name}/weight", {"axis": 0}),
            ([f"{name}/b", f"{name}/u"], f"{name}/bias", {"axis": 0}),
        ]
        nodes += [helper.make_node("DequantizeLinear", inputs, [out], **more) for inputs, out, more in dequantise]
        pads = [*geometry.padding, *geometry.padding]
        nodes.append(
            helper.make_node(
                "Conv", [f"{name}/x", f"{name}/weight", f"{name}/bias"], [f"{name}/y"], pads=pads,
                strides=list(geometry.stride), group=geometry.groups, kernel_shape=list(geometry.weight.shape[2:]),
            )
        )  # fmt: skip
        last = f"{name}/y"
        if not step.clip.is_none:
            low, high = (put(f"{name}/{end}", value, np.float32) for end, value in
                         (("low", step.clip.low), ("high", min(step.clip.high, 3e38))))  # fmt: skip
            nodes.append(helper.make_node("Clip", [last, low, high], [f"{name}/clipped"]))
            last = f"{name}/clipped"
        nodes.append(helper.make_node("QuantizeLinear", [last, f"{name}/scale", f"{name}/zero"], [f"{name}/codes"]))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])
    outputs = [helper.make_tensor_value_info(f"{name}/codes", TensorProto.UINT8, None) for name in names]
    graph = helper.make_graph(nodes, "convolutions", [images], outputs, initializer=initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), names


def test_every_code_is_the_same() -> None:
    """Weights of 7 bits: with more, ONNX Runtime's sums saturate on processors with AVX2 and without VNNI."""
    config = CompressionConfig(sparsity=0.5, rows=500, curvature_images=8, weight_bits=7, weight_rounding="nearest")
    network = compress(settled(Convolutions), pictures(40, 5), config).network
    assert network is not None
    model, names = written(network)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    images = pictures(16, 9)
    found: list[NDArray[np.uint8]] = session.run(None, {"images": images.numpy()})
    ours = {step.name: values.numpy() for step, values in network.walk(images)}
    for name, codes in zip(names, found, strict=True):
        assert (codes == ours[name]).all(), name
        assert len(np.unique(codes)) > 20
