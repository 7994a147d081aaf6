"""A network of integers as standard ONNX: quantise-dequantise ops around float ones, which runtimes fuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from chita_edge.deploy.qdq_parts import opset_of_part, part_nodes, step_output
from chita_edge.network.inputs import SeveralInputs, input_tensors
from chita_edge.quantization.arithmetic import function_table
from exporters.weights import nibbles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization import Grid, QuantisedNetwork
    from chita_edge.quantization.graph import Clip, Pool, Step

INPUT, OUTPUT = "input", "logits"
_ROWS = 3
_OPSET, _IR_VERSION = 19, 10  # onnx.reference dequantises from 19 on


def to_qdq(network: QuantisedNetwork, example_input: Batch) -> onnx.ModelProto:
    """The network as a model of standard ONNX, float32 outside.

    Activations are uint8, weights int8 with a scale a channel, biases int32. ONNX Runtime fuses all to integer ops, and
    computes what the network computes, to the bit. An activation that saturation does not do is a table of 256 bytes.

    Args:
        network: of `chita_edge.quantization.compress`.
        example_input: float32 (n, …), for the shapes; the size of the batch stays open. Several inputs are called by
            the names of forward's parameters where the batch has these, else ``input_0``, ``input_1``, and so on.

    Raises:
        UnsupportedModelError: torch cannot export a float step.
    """
    return _Writer(network, example_input[:1]).model()


class _Writer:
    """Nodes and constants so far; each step's codes are the value that is called as the step."""

    def __init__(self, network: QuantisedNetwork, example: Batch) -> None:
        self.network, self.example = network, example
        self.opset = max(_OPSET, *map(opset_of_part, network.graph.floats), 0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.real: dict[str, str] = {}  # dequantised values by step
        self.shapes: dict[str, torch.Size] = {}
        self.inputs = _input_names(example)
        self.read: dict[str, tuple[torch.Tensor, ...]] = {}  # examples, by float step

    def model(self) -> onnx.ModelProto:
        with torch.no_grad():
            for step, inputs, value in self.network.graph.walk(self.example):
                self.shapes[step.name] = value.shape
                if step.op == "float":
                    self.read[step.name] = inputs
        for step in self.network.graph.steps:
            self._step(step)
        last = self.network.graph.output
        if self.network.graph[last].op == "series":
            self._node("Squeeze", [self._dequantised(self.network.graph[last].inputs[0]), self._height()], OUTPUT, last)
        elif last in self.network.grids:
            self._node("DequantizeLinear", [self._codes(last), *self._grid(last)], OUTPUT, f"{last}/dequantise")
        else:
            self._node("Identity", [self.real[last]], OUTPUT, f"{last}/output")
        out = ["batch", *self.shapes[last][1:]]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(one.numpy().dtype), ["batch", *one.shape[1:]]
                )
                for name, one in zip(self.inputs, input_tensors(self.example), strict=True)
            ],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, out)],
            initializer=list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", self.opset)]
        version = max(_IR_VERSION, helper.find_min_ir_version_for(opsets))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=version, producer_name="chita-edge")
        return onnx.shape_inference.infer_shapes(model)

    def _step(self, step: Step) -> None:
        grids, name = self.network.grids, step.name
        if step.op == "input":
            real = self._input(step)
            if step.series:
                self._node("Unsqueeze", [real, self._height()], f"{name}/image", f"{name}/image")
                real = f"{name}/image"
            self._node("QuantizeLinear", [real, *self._grid(name)], self._codes(name), f"{name}/quantise")
        elif step.op == "given":
            self.real[name] = self._input(step)
        elif step.op == "float":
            self._part(step)
        elif step.op == "quantise":
            real = self.real[step.inputs[0]]
            if step.series:
                self._node("Unsqueeze", [real, self._height()], f"{name}/image", f"{name}/image")
                real = f"{name}/image"
            if step.rows:
                real = self._rows(name, real, len(self.shapes[step.inputs[0]]))
            self._node("QuantizeLinear", [real, *self._grid(name)], self._codes(name), f"{name}/quantise")
        elif step.op == "series":
            return  # the network's output, squeezed once it is real
        elif step.op == "table":
            self._table(step, function_table(step.looked_up, grids[step.inputs[0]], grids[name]).numpy())
        elif step.op == "layer":
            self._layer(step)
        elif step.op == "average_pool" and step.window.kernel is not None:
            self._averages(step, step.window)
        else:
            op, more = _standard(step, self.shapes[step.inputs[0]])
            inputs = step.inputs
            if step.op == "multiply" and self.shapes[inputs[0]].numel() < self.shapes[inputs[1]].numel():
                inputs = inputs[::-1]
            self._node(op, [self._dequantised(source) for source in inputs], f"{name}/y", name, **more)
            self._finish(step, f"{name}/y")

    def _rows(self, name: str, real: str, rank: int) -> str:
        """Rows within samples as images, their channels behind the batch."""
        turned, image = f"{name}/turned", f"{name}/image"
        self._node("Transpose", [real], turned, turned, perm=[0, rank - 1, *range(1, rank - 1)])
        if rank > _ROWS:
            return turned
        self._node("Unsqueeze", [turned, self._put("width", np.array([3], np.int64))], image, image)
        return image

    def _input(self, step: Step) -> str:
        """Name of the network's input that a step takes."""
        names = self.example.names if isinstance(self.example, SeveralInputs) else None
        known = names is not None and step.argument in names
        return step.argument if known else self.inputs[step.place]

    def _part(self, step: Step) -> None:
        """A float step, of dequantised values and real ones."""
        sources = [self._dequantised(source) for source in step.inputs]
        self.real[step.name] = step_output(step.name)
        nodes, constants = part_nodes(step, self.read[step.name], sources, self.real[step.name], self.opset)
        self.nodes += nodes
        self.constants |= {constant.name: constant for constant in constants}

    def _layer(self, step: Step) -> None:
        geometry, integers = step.weights, self.network.layers[step.name]
        more: dict[str, Any] = {"transB": 1}
        if geometry.is_convolution:
            kernel = geometry.weight.shape[2:]
            more = _window(kernel, geometry.stride, geometry.pads, geometry.dilation) | {"group": geometry.groups}
        self._weighted(
            step, "Conv" if geometry.is_convolution else "Gemm", more,
            integers.weight.numpy(), integers.scale.numpy(), integers.bias.numpy(),
        )  # fmt: skip

    def _averages(self, step: Step, pool: Pool) -> None:
        """A depthwise convolution with weights of 1 and the scale 1 / n."""
        assert pool.kernel is not None  # noqa: S101 (the caller has looked)
        channels = self.shapes[step.name][1]
        scale = np.full(channels, np.float32(1) / np.float32(pool.kernel[0] * pool.kernel[1]), np.float32)
        more = _window(pool.kernel, pool.stride, (0, 0, 0, 0), (1, 1)) | {"group": channels}
        self._weighted(
            step, "Conv", more, np.ones((channels, 1, *pool.kernel), np.int8), scale, np.zeros(channels, np.int32)
        )

    def _weighted(
        self, step: Step, op: str, more: dict[str, Any], weight: np.ndarray, scale: np.ndarray, bias: np.ndarray
    ) -> None:
        name, source = step.name, step.inputs[0]
        unit = np.float32(self.network.grids[source].scale) * scale
        weights = [self._weight(f"{name}.weight", weight), self._put(f"{name}.weight/scale", scale)]
        weights.append(self._put(f"{name}.weight/zero", np.zeros(len(scale), np.int8)))
        biases = [self._put(f"{name}.bias", bias), self._put(f"{name}.bias/scale", unit)]
        biases.append(self._put(f"{name}.bias/zero", np.zeros(len(scale), np.int32)))
        self._node("DequantizeLinear", weights, f"{name}/weight", f"{name}.weight/dequantise", axis=0)
        self._node("DequantizeLinear", biases, f"{name}/bias", f"{name}.bias/dequantise", axis=0)
        self._node(op, [self._dequantised(source), f"{name}/weight", f"{name}/bias"], f"{name}/y", name, **more)
        self._finish(step, f"{name}/y")

    def _weight(self, name: str, weight: np.ndarray) -> str:
        """Codes of a weight; those of four bits are two a byte in the file."""
        if not nibbles.fits(weight):
            return self._put(name, weight)
        packed, table = self._put(f"{name}/packed", nibbles.pack(weight)), self._put("nibbles", nibbles.TABLE)
        shape = self._put(f"{name}/shape", np.array(weight.shape, np.int64))
        self._node("Cast", [packed], f"{name}/index", f"{name}/index", to=TensorProto.INT32)
        self._node("Gather", [table, f"{name}/index"], f"{name}/pairs", f"{name}/pairs", axis=0)
        self._node("Reshape", [f"{name}/pairs", shape], name, f"{name}/unpacked")
        return name

    def _finish(self, step: Step, real: str) -> None:
        """From the real output of a step to its codes, or to the network's output."""
        name, grid = step.name, self.network.grids.get(step.name)
        if grid is None:
            self.real[name] = real
            if not step.clip.is_none:
                self.real[name] = f"{name}/clipped"
                self._node("Clip", [real, *self._bounds(name, step.clip)], self.real[name], f"{name}/clip")
            return
        saturates = _saturates(step.clip, grid)
        codes = self._codes(name) if saturates else f"{name}/unclipped"
        self._node("QuantizeLinear", [real, *self._grid(name)], codes, f"{name}/quantise")
        if not saturates:
            low, high = grid.code_of(step.clip.low), grid.code_of(step.clip.high)
            self._table(step, np.clip(np.arange(256), low, high), codes)

    def _table(self, step: Step, table: np.ndarray, codes: str | None = None) -> None:
        """Table[codes], exact in every runtime."""
        name = step.name
        known = self._put(f"{name}/table", table.astype(np.uint8))
        source = codes or self._codes(step.inputs[0])
        self._node("Cast", [source], f"{name}/index", f"{name}/cast", to=TensorProto.INT32)
        self._node("Gather", [known, f"{name}/index"], self._codes(name), f"{name}/lookup", axis=0)

    def _dequantised(self, name: str) -> str:
        if name not in self.real:
            self.real[name] = f"{name}/x"
            self._node("DequantizeLinear", [self._codes(name), *self._grid(name)], f"{name}/x", f"{name}/dequantise")
        return self.real[name]

    def _codes(self, name: str) -> str:
        return f"{name}/codes"

    def _grid(self, name: str) -> list[str]:
        grid = self.network.grids[name]
        return [
            self._put(f"{name}/scale", np.float32(grid.scale)),
            self._put(f"{name}/zero", np.uint8(grid.zero)),
        ]

    def _height(self) -> str:
        """The axis that series lack."""
        return self._put("height", np.array([2], np.int64))

    def _bounds(self, name: str, clip: Clip) -> list[str]:
        largest = float(np.finfo(np.float32).max)
        ends = {"low": max(clip.low, -largest), "high": min(clip.high, largest)}
        return [self._put(f"{name}/{end}", np.float32(value)) for end, value in ends.items()]

    def _put(self, name: str, value: Any) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, op: str, inputs: Sequence[str], output: str, name: str, **more: Any) -> None:
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=name, **more))


def _input_names(example: Batch) -> tuple[str, ...]:
    """Names of the inputs, as `exporters.to_onnx` has them."""
    if isinstance(example, SeveralInputs):
        return example.names or tuple(f"{INPUT}_{place}" for place in range(len(example.tensors)))
    return (INPUT,)


def _saturates(clip: Clip, grid: Grid) -> bool:
    """Whether the ends of the grid are those of the activation."""
    return grid.code_of(clip.low) == 0 and grid.code_of(clip.high) == 255


def _standard(step: Step, shape: Sequence[int]) -> tuple[str, dict[str, Any]]:
    """ONNX's op for a step without weights that reads values of this shape, and its attributes."""
    if step.op == "max_pool":
        padding, kernel = step.window.padding, step.window.kernel or shape[2:]
        more = _window(kernel, step.window.stride, (*padding, *padding), (1, 1))
        return "MaxPool", {key: value for key, value in more.items() if key != "dilations"}
    ops: dict[str, tuple[str, dict[str, Any]]] = {
        "add": ("Add", {}),
        "multiply": ("Mul", {}),
        "concat": ("Concat", {"axis": 1}),
        "average_pool": ("GlobalAveragePool", {}),
        "flatten": ("Flatten", {"axis": 1}),
    }
    return ops[step.op]


def _window(
    kernel: Sequence[int], stride: Sequence[int], pads: Sequence[int], dilation: Sequence[int]
) -> dict[str, Any]:
    return {
        "kernel_shape": list(kernel),
        "strides": list(stride),
        "pads": list(pads),
        "dilations": list(dilation),
    }
