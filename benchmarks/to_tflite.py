"""A network in standard ONNX as a TFLite file of the same function, for the LiteRT peer.

    python benchmarks/to_tflite.py MODEL.onnx MODEL.tflite

Runs in that peer's environment, with onnx and LiteRT's own schema, and needs no TensorFlow. It knows the operators of
the networks here: Conv (whole or depthwise), Clip, Relu, Add, MaxPool, GlobalAveragePool, Flatten, Gemm; batch 1.
Images lie as NHWC there. Padding is explicit, since TFLite's own pads strided convolutions on the other side. Zeros are
stored like other weights: XNNPACK, which runs the file, has sparse kernels, but not for x86 processors with AVX.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import helper, numpy_helper

_BUILTIN, _OPTIONS, _FUSED = schema.BuiltinOperator, schema.BuiltinOptions, schema.ActivationFunctionType
_TYPES = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int32): schema.TensorType.INT32}


class Writer:
    """A TFLite model that grows operator by operator."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.shapes: list[tuple[int, ...]] = []
        self._codes: dict[int, int] = {}

    def tensor(self, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        """A float32 tensor to be computed, or a constant; its index."""
        tensor, buffer = schema.TensorT(), 0
        if values is not None:
            constant = schema.BufferT()
            constant.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(constant)
            buffer = len(self.model.buffers) - 1
        tensor.shape, tensor.buffer = np.array(shape, np.int32), buffer
        tensor.type = _TYPES[np.dtype(np.float32) if values is None else values.dtype]
        tensor.name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(tensor)
        self.shapes.append(tuple(shape))
        return len(self.graph.tensors) - 1

    def constant(self, values: np.ndarray) -> int:
        """A constant; its index."""
        return self.tensor(values.shape, values)

    def add(self, code: int, inputs: list[int], shape: tuple[int, ...], kind: int, options: Any) -> int:
        """An operator; the index of its output."""
        if code not in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            self._codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        operator, output = schema.OperatorT(), self.tensor(shape)
        operator.opcodeIndex, operator.inputs, operator.outputs = self._codes[code], inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)
        return output

    def padded(self, x: int, pads: list[int], fill: float = 0.0) -> int:
        """Pad by ONNX's four edges."""
        top, left, bottom, right = pads
        if not any(pads):
            return x
        n, h, w, c = self.shapes[x]
        edges = self.constant(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
        shape = (n, h + top + bottom, w + left + right, c)
        if fill:
            value = self.constant(np.array([fill], np.float32))
            return self.add(_BUILTIN.PADV2, [x, edges, value], shape, _OPTIONS.PadV2Options, schema.PadV2OptionsT())
        return self.add(_BUILTIN.PAD, [x, edges], shape, _OPTIONS.PadOptions, schema.PadOptionsT())

    def windowed(self, x: int, kernel: list[int], strides: list[int], channels: int) -> tuple[int, ...]:
        """Shape of what a window that slides over x computes."""
        n, h, w, _ = self.shapes[x]
        return n, (h - kernel[0]) // strides[0] + 1, (w - kernel[1]) // strides[1] + 1, channels


def convolution(writer: Writer, x: int, weight: np.ndarray, bias: np.ndarray, how: dict[str, Any]) -> int:
    if any(size != 1 for size in how.get("dilations", [1, 1])):
        raise SystemExit("Dilated convolutions are not converted.")
    x = writer.padded(x, how.get("pads", [0, 0, 0, 0]))
    out, strides = len(weight), how.get("strides", [1, 1])
    whole = how.get("group", 1) == 1
    if not whole and weight.shape[1] != 1:
        raise SystemExit("Convolutions in groups are converted only where each channel is one.")
    options = schema.Conv2DOptionsT() if whole else schema.DepthwiseConv2DOptionsT()
    options.padding, (options.strideH, options.strideW) = schema.Padding.VALID, strides
    options.dilationHFactor = options.dilationWFactor = 1
    if not whole:
        options.depthMultiplier = 1
    order = (0, 2, 3, 1) if whole else (1, 2, 3, 0)
    inputs = [x, writer.constant(weight.transpose(order)), writer.constant(bias)]
    shape = writer.windowed(x, list(weight.shape[2:]), strides, out)
    if whole:
        return writer.add(_BUILTIN.CONV_2D, inputs, shape, _OPTIONS.Conv2DOptions, options)
    return writer.add(_BUILTIN.DEPTHWISE_CONV_2D, inputs, shape, _OPTIONS.DepthwiseConv2DOptions, options)


def pooled(writer: Writer, x: int, how: dict[str, Any]) -> int:
    x = writer.padded(x, how.get("pads", [0, 0, 0, 0]), float(np.finfo(np.float32).min))
    options, kernel, strides = schema.Pool2DOptionsT(), how["kernel_shape"], how.get("strides", [1, 1])
    options.padding, (options.strideH, options.strideW) = schema.Padding.VALID, strides
    options.filterHeight, options.filterWidth = kernel
    shape = writer.windowed(x, kernel, strides, writer.shapes[x][3])
    return writer.add(_BUILTIN.MAX_POOL_2D, [x], shape, _OPTIONS.Pool2DOptions, options)


def activation(name: str, bounds: list[float]) -> int:
    """Which activation a Clip or Relu is."""
    known = {(0.0, 6.0): _FUSED.RELU6, (0.0, np.inf): _FUSED.RELU}
    found = known.get((0.0, np.inf) if name == "Relu" else tuple(bounds))  # type: ignore[arg-type]
    if found is None:
        raise SystemExit(f"A Clip to {bounds} is not converted.")
    return found


def convert(model: onnx.ModelProto) -> bytes:
    """The file's bytes."""
    writer = Writer()
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    n, c, h, w = (one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim)
    places = {model.graph.input[0].name: writer.tensor((n, h, w, c))}
    writer.graph.inputs = [0]
    for node in model.graph.node:
        how = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        x, given = places[node.input[0]], [constants.get(name) for name in node.input[1:]]
        if node.op_type == "Conv":
            y = convolution(writer, x, given[0], given[1], how)
        elif node.op_type in ("Clip", "Relu"):
            # It belongs to what makes its input, which nothing else reads.
            maker = next(one for one in writer.graph.operators if one.outputs == [x])
            maker.builtinOptions.fusedActivationFunction = activation(node.op_type, [float(one) for one in given])
            y = x
        elif node.op_type == "Add":
            pair = [x, places[node.input[1]]]
            y = writer.add(_BUILTIN.ADD, pair, writer.shapes[x], _OPTIONS.AddOptions, schema.AddOptionsT())
        elif node.op_type == "MaxPool":
            y = pooled(writer, x, how)
        elif node.op_type == "GlobalAveragePool":
            options, axes = schema.ReducerOptionsT(), writer.constant(np.array([1, 2], np.int32))
            options.keepDims = False
            shape = (writer.shapes[x][0], writer.shapes[x][3])
            y = writer.add(_BUILTIN.MEAN, [x, axes], shape, _OPTIONS.ReducerOptions, options)
        elif node.op_type == "Flatten":
            y = x  # of what GlobalAveragePool made, which has no other dimensions here
        elif node.op_type == "Gemm" and how.get("transB") == 1:
            inputs = [x, *(writer.constant(one) for one in given)]
            shape = (writer.shapes[x][0], len(given[0]))
            y = writer.add(
                _BUILTIN.FULLY_CONNECTED,
                inputs,
                shape,
                _OPTIONS.FullyConnectedOptions,
                schema.FullyConnectedOptionsT(),
            )
        else:
            raise SystemExit(f"{node.op_type} is not converted.")
        places[node.output[0]] = y
    writer.graph.outputs = [places[model.graph.output[0].name]]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(writer.model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(convert(onnx.load(sys.argv[1])))
