"""Instructions that a layer takes on an emulated Arm processor, dense in ONNX Runtime's own layout and sparse in ours.

A dense convolution alone is reordered before and after; inside a network it is not. So a chain of three convolutions,
there, back and there again, is counted, and one of them alone taken off: what is left is one of each direction, and the
layer is given its share of their multiply-adds. The reorders are what is then missing from the one alone.
benchmarks/cost_grids.py counts linear layers.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from device_bench.emulation import count_instructions, emulator
from exporters.ops import csr_constants
from exporters.weights.csr import from_dense
from runtimes.costs import CostPoint, LayerCostKey

COUNTED_DENSITIES = (0.05, 0.3, 1.0)
COUNTED_CPU = "cortex-a76"
_POINTWISE = (
    *((16, 32, 2304), (64, 128, 784), (128, 128, 196), (24, 144, 784), (144, 32, 196), (256, 256, 49)),
    *((512, 512, 49), (1024, 1024, 9)),
)
_WINDOWS = ((16, 16, 1024), (64, 64, 64), (256, 256, 49))
_DEPTHWISE = ((32, 784), (512, 49))


def counted_layers() -> list[LayerCostKey]:
    return [
        *(LayerCostKey("CsrConv", out, inner, out_pixels=pixels) for inner, out, pixels in _POINTWISE),
        *(LayerCostKey("CsrConv", out, inner, (3, 3), out_pixels=pixels) for inner, out, pixels in _WINDOWS),
        *(LayerCostKey("DepthwiseConv", channels, 1, (3, 3), out_pixels=pixels) for channels, pixels in _DEPTHWISE),
        LayerCostKey("DenseConv", 16, 1, (3, 3), (2, 2), 2304),
        LayerCostKey("DenseConv", 16, 3, (3, 3), (1, 1), 1024),
    ]


def count_all() -> list[CostPoint]:
    points = []
    for layer in counted_layers():
        points.append(_count(layer))
        print(f"{layer.op} {layer.in_channels} {layer.out_channels}: {points[-1].dense:g}", flush=True)
    return points


@functools.cache
def counted_reorder() -> float:
    """Instructions a float: what a convolution alone takes more than its share of a chain."""
    layer = LayerCostKey("CsrConv", 128, 128, out_pixels=784)
    alone, chain = (_run([_dense_node(layer, i, False) for i in range(n)], layer, False) for n in (1, 3))
    return max(alone - (chain - alone) / 2, 0) / (2 * 128 * 784)


def _count(layer: LayerCostKey) -> CostPoint:
    if layer.op == "DenseConv":
        # The stem reads the image as it is, but writes the other layout.
        dense = _run([_dense_node(layer, 0, False)], layer, False)
        dense -= counted_reorder() * layer.out_channels * layer.out_pixels
    else:
        alone = _run([_dense_node(layer, 0, False)], layer, False)
        chain = _run(
            [_dense_node(layer, 0, False), _dense_node(layer, 1, True), _dense_node(layer, 2, False)], layer, False
        )
        dense = (chain - alone) / 2
    densities = COUNTED_DENSITIES if layer.op.startswith("Csr") else (1.0,)
    ours = tuple(float(_run([_our_node(layer, density)], layer, True)) for density in densities)
    return CostPoint(layer, float(dense), densities, ours)


def count_ours(layer: LayerCostKey, weight: np.ndarray, block_rows: int) -> int:
    """Instructions of one inference of a sparse convolution with this weight, in blocks of so many rows."""
    constants = csr_constants(from_dense(weight, block_rows)) | {"bias": np.zeros(len(weight), np.float32)}
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    op = "CsrConv" if block_rows == 1 else "BlockCsrConv"
    inputs = ["v0", *constants]
    node = helper.make_node(op, inputs, ["v1"], name="layer", domain="chita.edge", **_window(layer))
    return _run([(node, tensors)], layer, True)


_Node = tuple[onnx.NodeProto, list[onnx.TensorProto]]


def _weight(layer: LayerCostKey, density: float, back: bool = False) -> np.ndarray:
    rng = np.random.default_rng(layer.macs)
    outs, inner = (layer.in_channels, layer.out_channels) if back else (layer.out_channels, layer.in_channels)
    if layer.op == "DepthwiseConv":
        outs, inner = layer.out_channels, 1
    shape = (outs, inner, *layer.kernel)
    weight = rng.standard_normal(shape, np.float32)
    return np.where(rng.random(shape) < density, weight, np.float32(0))


def _window(layer: LayerCostKey) -> dict[str, list[int]]:
    pad = layer.kernel[0] // 2
    return {"strides": list(layer.stride), "pads": [pad] * 4, "dilations": [1, 1]}


def _dense_node(layer: LayerCostKey, index: int, back: bool) -> _Node:
    weight = _weight(layer, 1.0, back)
    names = [f"v{index}", f"w{index}", f"b{index}"]
    tensors = [numpy_helper.from_array(weight, names[1])]
    tensors.append(numpy_helper.from_array(np.zeros(len(weight), np.float32), names[2]))
    group = layer.out_channels if layer.op == "DepthwiseConv" else 1
    return helper.make_node("Conv", names, [f"v{index + 1}"], group=group, **_window(layer)), tensors


def _our_node(layer: LayerCostKey, density: float) -> _Node:
    weight = _weight(layer, density)
    bias = np.zeros(layer.out_channels, np.float32)
    window = _window(layer)
    if not layer.op.startswith("Csr"):
        constants = {"W": weight, "bias": bias}
        if layer.op == "DepthwiseConv":
            window["group"] = layer.out_channels  # type: ignore[assignment]
    else:
        matrix = weight.reshape(len(weight), -1)
        rows, columns = np.nonzero(matrix)
        index = np.uint8 if matrix.shape[1] <= 256 else np.uint16
        constants = {
            "values": matrix[rows, columns],
            "col_idx": columns.astype(index),
            "row_ptr": np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int32),
            "weight_shape": np.array(weight.shape, np.int64),
            "bias": bias,
        }
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_node(layer.op, ["v0", *constants], ["v1"], name="layer", domain="chita.edge", **window), tensors


def _run(nodes: list[_Node], layer: LayerCostKey, sparse: bool) -> int:
    """Instructions of one inference of a model of these nodes."""
    channels = layer.out_channels if layer.op == "DepthwiseConv" else layer.in_channels
    side = int(layer.out_pixels**0.5)
    shape = [1, channels, side * layer.stride[0], side * layer.stride[1]]
    graph = helper.make_graph(
        [node for node, _ in nodes],
        "layers",
        [helper.make_tensor_value_info("v0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"v{len(nodes)}", TensorProto.FLOAT, None)],
        [tensor for _, tensors in nodes for tensor in tensors],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("chita.edge", 1)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opsets)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.onnx"
        path.write_bytes(model.SerializeToString())
        return count_instructions(emulator(COUNTED_CPU), path, x, sparse=sparse)
