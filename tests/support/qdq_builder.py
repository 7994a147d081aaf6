"""Quantised networks in standard QDQ ONNX, put together op by op: random integers, activations of one range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from q_models import blocked

f32 = np.float32


@dataclass(frozen=True)
class Codes:
    """A value of codes: its name, channels, and the names of its scale and zero point."""

    name: str
    channels: int
    grid: tuple[str, str]


class Qdq:
    """A network with one input, in the making. dtype: of its activations."""

    def __init__(self, rng: np.random.Generator, shape: Sequence[int], dtype: Any = np.uint8) -> None:
        self.rng, self.shape, self.dtype = rng, tuple(shape), np.dtype(dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.count = 0

    def name(self, stem: str) -> str:
        """A new name."""
        self.count += 1
        return f"{stem}_{self.count}"

    def const(self, value: Any, stem: str = "c") -> str:
        """A new initializer."""
        name = self.name(stem)
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def node(self, op: str, inputs: Sequence[str], stem: str = "", domain: str = "", **attributes: Any) -> str:
        """A new node; the name of its output."""
        name = self.name(stem or op.lower())
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, domain=domain, **attributes))
        return name

    def grid(self, scale: float, zero: int) -> tuple[str, str]:
        """Scale and zero point; zero as for uint8."""
        shift = 128 if self.dtype == np.int8 else 0
        return self.const(f32(scale), "scale"), self.const(self.dtype.type(zero - shift), "zero")

    def real(self, codes: Codes) -> str:
        """The float32 numbers of codes."""
        return self.node("DequantizeLinear", [codes.name, *codes.grid])

    def codes(self, real: str, channels: int, scale: float = 6 / 255, zero: int = 128) -> Codes:
        """A value rounded to a grid, by default of -3 to 3."""
        grid = self.grid(scale, zero)
        return Codes(self.node("QuantizeLinear", [real, *grid]), channels, grid)

    def start(self) -> Codes:
        """The network's input as codes."""
        return self.codes("input", self.shape[0])

    def weight(self, shape: Sequence[int], axis: int = 0, density: float = 0.5) -> tuple[str, np.ndarray]:
        """A weight as float32, and its scales; outputs are its dimension ``axis``."""
        by_outputs = [shape[axis], *(side for place, side in enumerate(shape) if place != axis)]
        values = np.moveaxis(blocked(self.rng, by_outputs, 1, density), 0, axis)
        fan_in = int(np.prod(by_outputs[1:])) * density
        scales = (self.rng.uniform(0.8, 1.2, shape[axis]) / (73 * fan_in**0.5)).astype(f32)
        inputs = [
            self.const(values, "weight"),
            self.const(scales, "w_scale"),
            self.const(np.zeros(shape[axis], np.int8)),
        ]
        return self.node("DequantizeLinear", inputs, axis=axis), scales

    def bias(self, source: Codes, scales: np.ndarray) -> str:
        """An int32 bias as float32."""
        unit = (numpy_helper.to_array(self.constants[source.grid[0]]) * scales).astype(f32)
        values = np.rint(self.rng.normal(scale=0.2, size=len(scales)) / unit).astype(np.int32)
        zero = np.zeros(len(scales), np.int32)
        return self.node("DequantizeLinear", [self.const(values, "bias"), self.const(unit), self.const(zero)], axis=0)

    def conv(
        self, source: Codes, outputs: int, kernel: int = 1, relu: str = "", density: float = 0.5, **more: Any
    ) -> Codes:
        """Conv, with "relu" or "clip" after it on a grid that does the same."""
        group = more.get("group", 1)
        weight, scales = self.weight((outputs, source.channels // group, kernel, kernel), density=density)
        pads = {"pads": [kernel // 2] * 4, "kernel_shape": [kernel] * 2}
        made = self.node("Conv", [self.real(source), weight, self.bias(source, scales)], **(pads | more))
        if relu == "relu":
            return self.codes(self.node("Relu", [made]), outputs, 3 / 255, 0)
        if relu == "clip":
            made = self.node("Clip", [made, self.const(f32(0)), self.const(f32(6))])
            return self.codes(made, outputs, 6 / 255, 0)
        return self.codes(made, outputs)

    def gemm(self, source: Codes, outputs: int, inputs: int | None = None) -> str:
        """Gemm of flattened codes; the name of its float32 output."""
        weight, scales = self.weight((outputs, inputs or source.channels))
        flat = Codes(self.node("Flatten", [source.name], axis=1), source.channels, source.grid)  # ORT then fuses Gemm
        return self.node("Gemm", [self.real(flat), weight, self.bias(source, scales)], transB=1)

    def op(
        self, op: str, sources: Sequence[Codes], scale: float = 6 / 255, zero: int = 128, **attributes: Any
    ) -> Codes:
        """An op of dequantised values, rounded again."""
        made = self.node(op, [self.real(source) for source in sources], **attributes)
        return self.codes(made, sources[0].channels, scale, zero)

    def model(self, outputs: Sequence[Codes | str], ranks: Sequence[int] = (4,), opset: int = 19) -> onnx.ModelProto:
        """The model; codes are handed out as float32, and strings as they are."""
        names = [one if isinstance(one, str) else self.real(one) for one in outputs]
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *(f"d{axis}" for axis in range(1, rank))])
            for name, rank in zip(names, ranks, strict=True)
        ]
        shape = ["batch", *self.shape]
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self.nodes, "network", inputs, values, list(self.constants.values()))
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        used = {node.domain for node in self.nodes}
        return helper.make_model(graph, opset_imports=opsets[: 1 + ("com.microsoft" in used)], ir_version=10)


def mobile(rng: np.random.Generator, dtype: Any = np.uint8) -> onnx.ModelProto:
    """Stem, depthwise 5x5, squeeze-excite, residual, pools, activations of several kinds, two linear layers."""
    net = Qdq(rng, (3, 24, 24), dtype)
    stem = net.conv(net.start(), 16, 3, density=1.0, strides=[2, 2])
    x = net.op("HardSwish", [stem])
    gate = net.op("Sigmoid", [expanded := net.conv(x, 24)], 1 / 255, 0)
    y = net.op("Mul", [expanded, gate])
    y = net.conv(y, 24, 5, "clip", group=24)
    pooled = net.op("GlobalAveragePool", [y], 1 / 255, 0)
    excite = net.op("HardSigmoid", [net.conv(net.conv(pooled, 8, 1, "relu"), 24)], 1 / 255, 0, alpha=1 / 6, beta=0.5)
    y = net.op("Mul", [y, excite], 3 / 255, 0)
    x = net.op("Add", [net.conv(y, 16), x], 9 / 255)
    x = net.op("LeakyRelu", [net.conv(x, 30, 3)], 4 / 255, 10, alpha=0.1)
    x = net.op("MaxPool", [x], 4 / 255, 10, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.op("GlobalAveragePool", [x], 2 / 255, 40)
    hidden = net.op("HardSwish", [net.codes(net.gemm(x, 20), 20)])
    return net.model([net.gemm(hidden, 40)], (2,))
