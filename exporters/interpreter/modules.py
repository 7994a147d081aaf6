"""An ONNX graph of the usual layers as torch modules, traceable as if it had been written in torch.

Quantisation reads networks from their modules. What is here are the operators that it knows; any other is told.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import fx, nn
from torch.nn import functional

from exporters.interpreter.batch import follow_batch
from exporters.interpreter.module_builder import Build, Builder
from exporters.interpreter.module_layers import batch_norm, convolution, linear, pad
from exporters.interpreter.module_pools import (
    AVERAGES,
    MAXIMA,
    WHOLE_AVERAGES,
    WHOLE_MAXIMA,
    pool,
    reduction,
    whole_pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_SIX = (0.0, 6.0)


def to_modules(model: onnx.ModelProto) -> fx.GraphModule:
    """The network as convolutions, linear layers, batch norms, activations and pools, with its weights.

    A layer's module is called after its node. Sums, products and concatenations are functions; any other operator is a
    `GraphNode`. The module's ``meta`` has the graph ("onnx"), whose batch is open, and that of each of its nodes the
    names of the values that it stands for ("values").

    model: of `exporters.prepare`, with one output. Several inputs keep their names where Python can have them.
    Raises NotComputed, with the node and its operator, for what torch does not compute.
    """
    opened = onnx.ModelProto.FromString(model.SerializeToString())
    shapes = follow_batch(model)
    for tensor in opened.graph.initializer:
        if tensor.name in shapes:
            tensor.CopyFrom(numpy_helper.from_array(shapes[tensor.name].numpy(), tensor.name))
    return Builder(opened, _BUILDERS).finish()


def _clip(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    del attributes
    bounds = tuple(None if array is None else float(array) for array in (b.array(node, 1), b.array(node, 2)))
    if bounds == (0.0, None):
        return b.call(node, nn.ReLU(), b.value(node))
    if bounds == _SIX:
        return b.call(node, nn.ReLU6(), b.value(node))
    return b.fx.call_function(torch.clamp, (b.value(node), *bounds))


def _hard_sigmoid(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    if abs(attributes.get("alpha", 0.2) - 1 / 6) > 1e-4 or attributes.get("beta", 0.5) != 0.5:
        raise b.refusal(node, " of another slope")
    return b.call(node, nn.Hardsigmoid(), b.value(node))


def _single(function: Callable[..., torch.Tensor], **names: tuple[str, float]) -> Callable[..., fx.Node]:
    """A function of single numbers; names: of its parameters, with ONNX's name of the attribute and what it is else."""

    def build(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
        given = {key: attributes.get(name, default) for key, (name, default) in names.items()}
        return b.fx.call_function(function, (b.value(node),), given)

    return build


def _gelu(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    how = attributes.get("approximate", b"none").decode()
    return b.fx.call_function(functional.gelu, (b.value(node),), {"approximate": how})


def _activation(make: Callable[[], nn.Module]) -> Callable[..., fx.Node]:
    def build(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
        del attributes
        return b.call(node, make(), b.value(node))

    return build


def _of_two(function: Callable[..., torch.Tensor]) -> Callable[..., fx.Node]:
    def build(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
        del attributes
        constant = [place for place, name in enumerate(node.input) if name in b.arrays]
        source = b.values.get(node.input[0]) or b.values.get(node.input[-1])
        if function is torch.add and constant and _is_bias(b, node, constant[0], source):
            return source  # type: ignore[return-value] # the linear layer has taken it
        if len(node.input) == 2 and constant and b.arrays[node.input[constant[0]]].size == 1:
            return _with_number(b, node, function, constant[0])
        if len(node.input) != 2 or constant:
            raise b.refusal(node, " of constants, or of other than two values")
        return b.fx.call_function(function, (b.value(node, 0), b.value(node, 1)))

    return build


def _with_number(b: Builder, node: onnx.NodeProto, function: Callable[..., torch.Tensor], place: int) -> fx.Node:
    """A function of a value and a constant of one number, whose shape adds no axis."""
    array = b.arrays[node.input[place]]
    if array.ndim > 1 or array.dtype != np.float32:
        raise b.refusal(node, " of constants of another shape or type")
    value, number = b.value(node, 1 - place), float(array.reshape(()))
    return b.fx.call_function(function, (value, number) if place else (number, value))


def _is_bias(b: Builder, node: onnx.NodeProto, place: int, source: fx.Node | None) -> bool:
    """Give the constant to the linear layer before, where it is one without a bias that nothing else reads."""
    array = b.arrays[node.input[place]]
    if source is None or source.op != "call_module" or source.users:
        return False
    readers = sum(node.input[1 - place] in other.input for other in b.graph.node)
    module = b.modules.get_submodule(str(source.target))
    if (
        not isinstance(module, nn.Linear)
        or module.bias is not None
        or readers != 1
        or array.size != module.out_features
    ):
        return False
    module.bias = nn.Parameter(torch.from_numpy(np.array(array.reshape(-1), np.float32)))
    return True


def _concat(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    if attributes["axis"] != 1:
        raise b.refusal(node, " along another axis than the channels")
    return b.fx.call_function(torch.cat, ([b.value(node, place) for place in range(len(node.input))], 1))


def _flatten(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    if attributes.get("axis", 1) != 1:
        raise b.refusal(node, " of another axis")
    return b.fx.call_function(torch.flatten, (b.value(node), 1))


def _reshape(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    del attributes
    shape = b.array(node, 1)
    # Of two sizes the first is the batch, whether it says so (0), leaves it open (−1), or was exported for one sample.
    if shape is None or shape.size != 2 or int(shape.reshape(-1)[0]) not in (-1, 0, 1):
        raise b.refusal(node, " to other than rows")
    first, second = (int(size) for size in shape.reshape(-1))
    _, *rest = b.sizes.get(node.input[0], (None, None))
    if first < 0 and second > 0 and not (None not in rest and math.prod(rest) == second):  # type: ignore[arg-type]
        raise b.refusal(node, " to rows of other samples")
    return b.fx.call_function(torch.flatten, (b.value(node), 1))


def _squeeze(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    del attributes
    axes = b.array(node, 1)
    if node.input[0] in b.lifted:
        if axes is None or axes.reshape(-1).tolist() not in ([2], [-2]):
            raise b.refusal(node)
        return b.value(node)
    if axes is None or sorted(int(axis) % (2 + b.sides) for axis in axes.reshape(-1)) != b.axes:
        raise b.refusal(node, " of other axes than the sides")
    return b.fx.call_function(torch.flatten, (b.value(node), 1))


def _unsqueeze(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    """Series as images of height 1, as exporters write pools over whole series."""
    del attributes
    axes = b.array(node, 1)
    if b.sides != 1 or axes is None or axes.reshape(-1).tolist() not in ([2], [-2]):
        raise b.refusal(node)
    b.lifted.add(node.output[0])
    return b.value(node)


def _same(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    del attributes
    return b.value(node)


_BUILDERS: dict[str, Build] = {
    "Abs": _single(torch.abs),
    "Add": _of_two(torch.add),
    "AveragePool": pool(AVERAGES, averages=True),
    "BatchNormalization": batch_norm,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": convolution,
    "Div": _of_two(torch.div),
    "Elu": _single(functional.elu, alpha=("alpha", 1.0)),
    "Erf": _single(torch.erf),
    "Exp": _single(torch.exp),
    "Flatten": _flatten,
    "Gelu": _gelu,
    "Gemm": linear,
    "GlobalAveragePool": whole_pool(WHOLE_AVERAGES),
    "GlobalMaxPool": whole_pool(WHOLE_MAXIMA),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _activation(nn.Hardswish),
    "Identity": _same,
    "LeakyRelu": _single(functional.leaky_relu, negative_slope=("alpha", 0.01)),
    "MatMul": linear,
    "MaxPool": pool(MAXIMA, averages=False),
    "Mish": _single(functional.mish),
    "Mul": _of_two(torch.mul),
    "Neg": _single(torch.neg),
    "Pad": pad,
    "ReduceMax": reduction(WHOLE_MAXIMA),
    "ReduceMean": reduction(WHOLE_AVERAGES),
    "Relu": _activation(nn.ReLU),
    "Reshape": _reshape,
    "Sigmoid": _activation(nn.Sigmoid),
    "Softplus": _single(functional.softplus),
    "Softsign": _single(functional.softsign),
    "Squeeze": _squeeze,
    "Sub": _of_two(torch.sub),
    "Sum": _of_two(torch.add),
    "Tanh": _activation(nn.Tanh),
    "Unsqueeze": _unsqueeze,
}
