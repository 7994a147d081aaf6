"""Recognition of convolutions and linear layers, in each of the forms that exporters write them in.

Conv, bias as its input, as an Add after it, or none  → Conv, with the zeros of a Pad before it
Conv over one side                                    → Conv over a side of 1 and that one
ConvTranspose, its stride the size of its kernel      → 1×1 Conv of as many outputs a window, then DepthToSpace
Gemm, weight as (M, K) or (K, M), any bias of a row   → linear, its scales in weight and bias
MatMul with a constant on the right, Add of a bias    → linear, also of more dimensions than two

Every such node with a constant weight is found; one that no op of ours can replace says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from exporters.errors import NonFiniteWeightsError, UnsupportedModelError
from exporters.layers.activation import find_activation
from exporters.layers.graph import constant, ints, only_user, static_shape
from exporters.layers.layer import Layer
from exporters.layers.padding import zero_pads
from exporters.layers.placed_layer import other_operand
from exporters.weights.dtypes import Array


def find_layers(graph: ir.Graph) -> list[Layer]:
    """All Conv, ConvTranspose, Gemm and MatMul nodes with constant weights, in the graph's order.

    Raises NonFiniteWeightsError and UnsupportedModelError (weights that are not float32).
    """
    return [layer for node in graph if (layer := _layer(node)) is not None]


def share_adds(layers: list[Layer], is_sparse: Callable[[Layer], bool]) -> list[Layer]:
    """Leave each Add to one layer: where two convolutions meet, to a sparse one, and to the later of two alike."""
    owners = {layer.add: layer for layer in sorted(layers, key=is_sparse)}
    return [layer if layer.add is None or owners[layer.add] is layer else layer.without_add() for layer in layers]


def _layer(node: ir.Node) -> Layer | None:
    recognise = _RECOGNISERS.get(node.op_type)
    if node.domain or recognise is None or len(node.inputs) < 2 or node.inputs[0] is None:
        return None
    weight = constant(node.inputs[1])
    if weight is None or not _is_float(weight) or constant(node.inputs[0]) is not None:
        return None  # a product of activations, of integers, or of constants alone
    _check(node.name or node.op_type, weight, "weights")
    layer = recognise(node, weight)
    if layer is None:
        return None
    _check(layer.name, layer.bias, "bias")
    if layer.unfit:
        return layer
    around = zero_pads(node.inputs[0]) if node.op_type == "Conv" else None
    if around is not None:
        layer = replace(layer, padded=node.inputs[0].producer(), around=around)
    alone = replace(layer, found=find_activation(layer.total))
    add = _residual_add(layer.total) if alone.kind == "conv" and alone.form != "upsampling" else None
    if add is None:
        return alone
    return replace(layer, add=add, found=find_activation(add.outputs[0]))


def _convolution(node: ir.Node, weight: Array) -> Layer | None:
    sides, outputs = weight.ndim - 2, weight.shape[0]
    unfit = "" if sides in (1, 2) else f"it is a convolution over {max(0, sides)} dimensions, not 1 or 2"
    layer = Layer(node, weight, np.zeros(outputs, np.float32), unfit=unfit)
    if sides == 1:
        layer = replace(layer, weight=weight[:, :, None, :], form="line")
    return _with_own_bias(layer, outputs, sides)


def _transposed(node: ir.Node, weight: Array) -> Layer | None:
    """Weight (inputs, outputs / group, kh, kw): of each input a window of outputs, which do not overlap."""
    outputs = weight.shape[1] * (node.attributes["group"].as_int() if "group" in node.attributes else 1)
    layer = Layer(node, weight, np.zeros(outputs, np.float32), unfit=_why_overlapping(node, weight))
    if layer.unfit:
        return layer
    layer = _with_own_bias(layer, outputs, 2)
    # A channel of the 1×1 convolution is (row of the window, column, output), as DepthToSpace takes them apart.
    rows = np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0], 1, 1))
    bias = np.tile(layer.bias, weight.shape[2] * weight.shape[3])
    return replace(layer, weight=rows, bias=bias, bias_value=None, form="upsampling")


def _why_overlapping(node: ir.Node, weight: Array) -> str:
    if weight.ndim != 4:
        return f"it is a transposed convolution over {max(0, weight.ndim - 2)} dimensions, not 2"
    kernel = weight.shape[2:]
    auto = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    plain = not any((*ints(node, "pads", ()), *ints(node, "output_padding", ()))) and auto in ("NOTSET", "VALID")
    plain = plain and "output_shape" not in node.attributes
    if ints(node, "strides", (1, 1)) != kernel or set(ints(node, "dilations", (1, 1))) != {1} or not plain:
        return "it is a transposed convolution whose windows overlap, or are padded"
    if "group" in node.attributes and node.attributes["group"].as_int() != 1:
        return "it is a grouped transposed convolution"
    return "" if kernel[0] == kernel[1] else "it is a transposed convolution whose window is not square"


def _with_own_bias(layer: Layer, outputs: int, sides: int) -> Layer:
    """The layer with the bias that its node has as an input, or that an Add after it adds."""
    value = layer.node.inputs[2] if len(layer.node.inputs) > 2 else None
    if value is None:
        return layer if layer.unfit else _with_bias_add(layer, (outputs, *(1,) * sides))
    bias = constant(value)
    if bias is None or bias.shape != layer.bias.shape:
        return replace(layer, unfit=layer.unfit or "its bias is computed by the network")
    return replace(layer, bias=bias, bias_value=value)


def _gemm(node: ir.Node, weight: Array) -> Layer | None:
    def attribute(name: str, default: float) -> float:
        return float(node.attributes[name].value) if name in node.attributes else default

    if weight.ndim != 2:
        return None
    weight = weight if attribute("transB", 0) else np.ascontiguousarray(weight.T)
    zeros = np.zeros(weight.shape[0], np.float32)
    if attribute("transA", 0):
        return Layer(node, weight, zeros, unfit="it transposes its input")
    if attribute("alpha", 1) != 1:
        weight = weight * np.float32(attribute("alpha", 1))
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return _with_bias_add(Layer(node, weight, zeros), (weight.shape[0],))
    bias = constant(value)
    row = None if bias is None else _as_row(bias, (weight.shape[0],))
    if bias is None or row is None:
        return Layer(node, weight, zeros, unfit="its bias is computed by the network, or differs from row to row")
    if attribute("beta", 1) != 1:
        return Layer(node, weight, row * np.float32(attribute("beta", 1)))
    return Layer(node, weight, row, value if bias.shape == row.shape else None)


def _matmul(node: ir.Node, weight: Array) -> Layer | None:
    if weight.ndim == 1:
        return None
    if weight.ndim != 2:
        outer = f"its weight has {weight.ndim} dimensions, as many matrices as samples or heads"
        return Layer(node, weight, np.zeros(weight.shape[-1], np.float32), unfit=outer)
    weight = np.ascontiguousarray(weight.T)
    layer = Layer(node, weight, np.zeros(weight.shape[0], np.float32))
    shape = static_shape(node.outputs[0])
    if shape is not None and len(shape) < 2:
        return replace(layer, unfit="its input is a vector")
    return layer if shape is None else _with_bias_add(layer, (weight.shape[0],))


def _with_bias_add(layer: Layer, form: tuple[int, ...]) -> Layer:
    """The layer with the constant that an Add after it adds to each output; ``form``: its shape, leading ones aside."""
    output = layer.node.outputs[0]
    add, shape = only_user(output), static_shape(output)
    if add is None or add.op_type != "Add" or add.domain or shape is None:
        return layer
    value = other_operand(add, output)
    array = constant(value)
    row = None if array is None or array.ndim > len(shape) else _as_row(array, form)
    if array is None or row is None or array.dtype != np.float32:
        return layer
    return replace(layer, bias=row, bias_value=value if array.shape == row.shape else None, bias_add=add)


def _as_row(array: Array, form: tuple[int, ...]) -> Array | None:
    """An array that broadcasts to ``form``, (M,) or (M, 1, 1), as (M,); None for one that does not."""
    if any(size != 1 for size in array.shape[: max(0, array.ndim - len(form))]):
        return None
    inner = array.reshape(array.shape[max(0, array.ndim - len(form)) :])
    try:
        return np.ascontiguousarray(np.broadcast_to(inner, form).reshape(form[0]))
    except ValueError:
        return None


def _check(name: str, array: Array, what: str) -> None:
    if array.dtype != np.float32:
        raise UnsupportedModelError(
            f"Layer {name} has {what} of type {array.dtype}; only float32 networks are exported. "
            "Call model.float() first."
        )
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise NonFiniteWeightsError(
            f"Layer {name}: {bad} of {array.size} {what} are NaN or infinite; train or load the network again."
        )


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


_RECOGNISERS: dict[str, Callable[[ir.Node, Array], Layer | None]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "Gemm": _gemm,
    "MatMul": _matmul,
}


def _residual_add(output: ir.Value) -> ir.Node | None:
    """The Add after a convolution, unless its operands broadcast."""
    add = only_user(output)
    if add is None or add.op_type != "Add" or add.domain:
        return None
    other = other_operand(add, output)
    if other is None or other.shape is None or constant(other) is not None:
        return None
    return add if other.shape == output.shape else None
