"""From a torch module to a `Graph`: symbolic tracing, batch norm folded, ReLU and ReLU6 fused."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.nn import functional

from chita_edge.quantization.errors import UnsupportedNetworkError
from chita_edge.quantization.graph import Clip, Graph, Layer, Op, Pair, Pool, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

RELU, RELU6 = Clip(0.0), Clip(0.0, 6.0)
_CLIPS: dict[object, Clip] = {
    nn.ReLU: RELU, nn.ReLU6: RELU6, functional.relu: RELU, functional.relu6: RELU6, torch.relu: RELU, torch.relu_: RELU,
    "relu": RELU, "relu_": RELU,
}  # fmt: skip
_TABLES: dict[object, str] = {
    nn.Hardswish: "hard_swish", functional.hardswish: "hard_swish",
    nn.Hardsigmoid: "hard_sigmoid", functional.hardsigmoid: "hard_sigmoid",
    nn.SiLU: "silu", functional.silu: "silu",
    nn.Sigmoid: "sigmoid", torch.sigmoid: "sigmoid", functional.sigmoid: "sigmoid", "sigmoid": "sigmoid",
    nn.Tanh: "tanh", torch.tanh: "tanh", "tanh": "tanh",
}  # fmt: skip
_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout2d)
_ADDS = (operator.add, operator.iadd, torch.add, "add", "add_")
_MULTIPLIES = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
_CONCATS = (torch.cat, torch.concat, torch.concatenate)
_CONVOLUTIONS = (functional.conv2d, torch.conv2d)
_RESHAPES = ("view", "reshape")
_TABLE_OF_CLIP = {RELU: "relu", RELU6: "relu6"}


def trace(model: nn.Module) -> Graph:
    """The steps of a network in evaluation mode.

    Batch norm is folded into the layer before it; elsewhere it becomes a depthwise 1×1 convolution.

    Args:
        model: of convolutions, linear layers, batch norm, sums, concatenations, pooling and the usual activations.

    Raises:
        UnsupportedNetworkError: the network holds something else, or cannot be traced.
    """
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:
        raise UnsupportedNetworkError(
            f"The network cannot be traced, which quantisation needs ({str(error).partition('.')[0]}). Its forward "
            "must not depend on values."
        ) from error
    builder = _Builder({**dict(traced.named_modules()), **dict(model.named_modules())})
    for node in traced.graph.nodes:
        builder.add(node)
    return builder.finish()


class _Builder:
    """Steps found so far, and which of them stands for each traced node."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = modules
        self.steps: dict[str, Step] = {}
        self.stands: dict[fx.Node, str] = {}
        self.pads: dict[fx.Node, tuple[int, int, int, int]] = {}  # zeros around a value that convolutions read
        self.tensors: dict[fx.Node, str] = {}
        self.users: dict[str, int] = {}
        self.output = ""

    def add(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if self.steps:
                raise UnsupportedNetworkError("The network has more than one input; quantisation takes one.")
            self._put(node, Step(node.name, "input"))
        elif node.op == "output":
            result = node.args[0]
            if not isinstance(result, fx.Node):
                raise UnsupportedNetworkError("The network has more than one output; quantisation takes one.")
            self.output = self.stands[result]
        elif node.op == "call_module":
            self._module(node, str(node.target), self.modules[str(node.target)])
        elif node.op == "get_attr":
            self.tensors[node] = str(node.target)
        elif node.target in _CONVOLUTIONS:
            self._functional_convolution(node)
        else:
            self._function(node, node.target)

    def finish(self) -> Graph:
        return Graph(tuple(self.steps.values()), self.output)

    def _module(self, node: fx.Node, name: str, module: nn.Module) -> None:
        source = self._source(node)
        if isinstance(module, nn.Conv2d | nn.Linear):
            self._layer(node, name, source, _layer(name, module))
        elif isinstance(module, nn.BatchNorm2d):
            self._batch_norm(node, name, module, source)
        elif isinstance(module, nn.ZeroPad2d):
            self._pad(node, module.padding, 0)
        elif type(module) in _CLIPS:
            self._clip(node, name, _CLIPS[type(module)], source)
        elif isinstance(module, nn.Hardtanh):
            self._clip(node, name, Clip(module.min_val, module.max_val), source)
        elif type(module) in _TABLES:
            self._put(node, Step(node.name, "table", (source,), function=_TABLES[type(module)]))
        elif isinstance(module, _IDENTITIES):
            self.stands[node] = source
        elif isinstance(module, nn.AdaptiveAvgPool2d) and _pair(module.output_size) == (1, 1):
            self._put(node, Step(node.name, "average_pool", (source,), pool=Pool()))
        elif isinstance(module, nn.AvgPool2d) and not module.ceil_mode and _pair(module.padding) == (0, 0):
            window = Pool(_pair(module.kernel_size), _pair(module.stride))
            self._put(node, Step(node.name, "average_pool", (source,), pool=window))
        elif isinstance(module, nn.MaxPool2d) and not module.ceil_mode and _pair(module.dilation) == (1, 1):
            window = Pool(_pair(module.kernel_size), _pair(module.stride), _pair(module.padding))
            self._put(node, Step(node.name, "max_pool", (source,), pool=window))
        elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            self._put(node, Step(node.name, "flatten", (source,)))
        else:
            raise self._refusal(node, f"the {type(module).__name__} {name}")

    def _layer(self, node: fx.Node, name: str, source: str, layer: Layer) -> None:
        if name in self.steps:
            raise UnsupportedNetworkError(f"{name} is used twice; a quantised layer has one input.")
        first = node.args[0]
        left, right, top, bottom = self.pads.get(first, (0, 0, 0, 0)) if isinstance(first, fx.Node) else (0, 0, 0, 0)
        if (left, right, top, bottom) != (0, 0, 0, 0):
            if not layer.is_convolution:
                raise self._refusal(node, f"the zeros before {name}")
            padding = (layer.padding[0] + top, layer.padding[1] + left)
            layer = replace(layer, padding=padding, more_padding=(bottom - top, right - left))
        self._put(node, Step(name, "layer", (source,), layer=layer))

    def _functional_convolution(self, node: fx.Node) -> None:
        """A convolution with a module's parameters, as modules of a forward of their own call it."""
        names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
        given = dict(zip(names, node.args, strict=False)) | node.kwargs
        weight, bias = given.get("weight"), given.get("bias")
        if (
            not isinstance(weight, fx.Node)
            or weight not in self.tensors
            or (bias is not None and bias not in self.tensors)
        ):
            raise self._refusal(node, "a convolution whose weight is computed")
        name = self.tensors[weight].removesuffix(".weight")
        module = self.modules.get(name)
        if not isinstance(module, nn.Conv2d) or isinstance(given.get("padding"), str):
            raise self._refusal(node, f"the convolution by {self.tensors[weight]}")
        layer = replace(
            _layer(name, module),
            stride=_pair(given.get("stride", 1)),
            padding=_pair(given.get("padding", 0)),
            dilation=_pair(given.get("dilation", 1)),
        )
        self._layer(node, name, self._source(node), layer)

    def _pad(self, node: fx.Node, sides: Any, value: Any) -> None:
        """Zeros around an image, which the convolutions that read it take as their own padding."""
        first = node.args[0]
        sides = (sides,) * 4 if isinstance(sides, int) else tuple(sides)
        nested = isinstance(first, fx.Node) and first in self.pads
        if len(sides) != 4 or nested or value not in (None, 0, 0.0) or min(sides) < 0:
            raise self._refusal(node, "the padding")
        left, right, top, bottom = sides
        if bottom < top or right < left:
            raise self._refusal(node, "a padding that is larger before an image than after it")
        for user in node.users:
            module = self.modules.get(str(user.target)) if user.op == "call_module" else None
            if not isinstance(module, nn.Conv2d) and user.target not in _CONVOLUTIONS:
                raise self._refusal(node, "a padding before what is no convolution")
        self.stands[node] = self._source(node)
        self.pads[node] = (left, right, top, bottom)

    def _function(self, node: fx.Node, target: Any) -> None:
        arguments = node.args[1:]
        if target in (*_ADDS, *_MULTIPLIES) and len(node.args) == 2 and isinstance(node.args[1], fx.Node):
            op: Op = "add" if target in _ADDS else "multiply"
            self._put(node, Step(node.name, op, (self._source(node), self.stands[node.args[1]])))
        elif target in _CONCATS and (arguments or (node.kwargs.get("dim"),)) == (1,):
            parts = tuple(self.stands[part] for part in node.args[0])  # type: ignore[union-attr, index]
            self._put(node, Step(node.name, "concat", parts))
        elif target in (functional.pad, torch.nn.functional.pad):
            known = dict(zip(("pad", "mode", "value"), arguments, strict=False)) | node.kwargs
            if known.get("mode", "constant") != "constant":
                raise self._refusal(node, f"padding with {known['mode']}")
            self._pad(node, known["pad"], known.get("value"))
        elif target in _CLIPS:
            self._clip(node, node.name, _CLIPS[target], self._source(node))
        elif target in _TABLES:
            self._put(node, Step(node.name, "table", (self._source(node),), function=_TABLES[target]))
        elif target in ("mean", torch.mean) and _axes(arguments, node.kwargs) == (2, 3):
            pooled = f"{node.name}_pool"
            self.steps[pooled] = Step(pooled, "average_pool", (self._source(node),), pool=Pool())
            if True in (*arguments, node.kwargs.get("keepdim")):
                self.stands[node] = pooled
            else:
                self._put(node, Step(node.name, "flatten", (pooled,)))
        elif target is functional.adaptive_avg_pool2d and _pair(arguments[0]) == (1, 1):
            self._put(node, Step(node.name, "average_pool", (self._source(node),), pool=Pool()))
        elif _flattens(target, arguments):
            self._put(node, Step(node.name, "flatten", (self._source(node),)))
        elif target in ("size", getattr):
            return  # the batch size of a reshape
        elif target in (functional.dropout, "contiguous"):
            self.stands[node] = self._source(node)
        else:
            raise self._refusal(node, getattr(target, "__name__", str(target)))

    def _put(self, node: fx.Node, step: Step) -> None:
        self.steps[step.name] = step
        self.stands[node] = step.name
        self.users[step.name] = len(node.users)

    def _source(self, node: fx.Node) -> str:
        first = node.args[0]
        if not isinstance(first, fx.Node) or first not in self.stands:
            raise self._refusal(node, f"the arguments of {node.name}")
        return self.stands[first]

    def _fusible(self, node: fx.Node, source: str, ops: tuple[str, ...]) -> Step | None:
        """The step before, where nothing else reads it and nothing follows in it yet."""
        step = self.steps[source]
        first = node.args[0]
        alone = isinstance(first, fx.Node) and len(first.users) == 1 and self.users.get(source) == 1
        return step if alone and step.op in ops and step.clip.is_none else None

    def _replace(self, node: fx.Node, step: Step) -> None:
        self.steps[step.name] = step
        self.stands[node] = step.name
        self.users[step.name] = len(node.users)

    def _clip(self, node: fx.Node, name: str, clip: Clip, source: str) -> None:
        step = self._fusible(node, source, ("layer", "add"))
        if step is not None:
            self._replace(node, replace(step, clip=clip))
        elif clip in _TABLE_OF_CLIP:
            self._put(node, Step(node.name, "table", (source,), function=_TABLE_OF_CLIP[clip]))
        else:
            raise self._refusal(node, f"the activation {name}")

    def _batch_norm(self, node: fx.Node, name: str, module: nn.BatchNorm2d, source: str) -> None:
        if module.running_mean is None or module.running_var is None:
            raise UnsupportedNetworkError(f"The batch norm {name} keeps no statistics, so it cannot be folded.")
        factor = (module.running_var.double() + module.eps).rsqrt()
        if module.weight is not None:
            factor = factor * module.weight.detach().double()
        shift = -module.running_mean.double() * factor
        if module.bias is not None:
            shift = shift + module.bias.detach().double()
        step = self._fusible(node, source, ("layer",))
        if step is None or not step.weights.is_convolution:
            layer = Layer(factor.float()[:, None, None, None], shift.float(), groups=len(factor))
            self._put(node, Step(name, "layer", (source,), layer=layer))
            return
        old = step.weights
        weight = (old.weight.double() * factor[:, None, None, None]).float()
        bias = (old.bias.double() * factor + shift).float()
        self._replace(node, replace(step, layer=replace(old, weight=weight, bias=bias)))

    def _refusal(self, node: fx.Node, what: str) -> UnsupportedNetworkError:
        return UnsupportedNetworkError(
            f"Quantisation knows no integer form of {what} (at {node.name}). Keep the network in float32."
        )


def _layer(name: str, module: nn.Conv2d | nn.Linear) -> Layer:
    """Weights and geometry of a module."""
    weight = module.weight.detach().float().clone()
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach().float().clone()
    if isinstance(module, nn.Linear):
        return Layer(weight, bias)
    if module.padding_mode != "zeros":
        raise UnsupportedNetworkError(f"{name} pads with {module.padding_mode}; quantisation pads with zeros.")
    if module.padding == "same":
        extents = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if any(extent % 2 for extent in extents):
            raise UnsupportedNetworkError(f"{name} pads one side more than the other. Pad before it instead.")
        padding: Any = (extents[0] // 2, extents[1] // 2)
    else:
        padding = (0, 0) if module.padding == "valid" else module.padding
    return Layer(weight, bias, _pair(module.stride), _pair(padding), _pair(module.dilation), module.groups)


def _flattens(target: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether a call joins all axes but the first."""
    if target in (torch.flatten, "flatten"):
        return arguments == (1,)
    return target in _RESHAPES and len(arguments) == 2 and arguments[1] == -1


def _pair(value: Any) -> Pair:
    """Both sides of a size that may be given as one."""
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)


def _axes(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[int, ...]:
    """The axes of a mean over images."""
    axes = arguments[0] if arguments else named.get("dim", ())
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    return tuple(sorted(axis % 4 for axis in axes))
