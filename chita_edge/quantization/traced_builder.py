"""From one traced node after the other to the steps of a `Graph`, batch norm folded, ReLU and ReLU6 fused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.nn import functional

from chita_edge.quantization.errors import RefusalError, UnsupportedNetworkError
from chita_edge.quantization.graph import Clip, Layer, Op, Pool, Step
from chita_edge.quantization.traced_layers import (
    CONVOLUTION_MODULES,
    LAYERS,
    NORM_MODULES,
    PAD_MODULES,
    Norm,
    folded,
    function_layer,
    layer_of,
    norm_factors,
    pool_of,
    pool_of_function,
)
from chita_edge.quantization.traced_ops import (
    ADDS,
    CLIPS,
    CONCATS,
    CONVOLUTIONS,
    IDENTITIES,
    LARGEST,
    MEANS,
    MOVES,
    MULTIPLIES,
    RESHAPES,
    TABLE_OF_CLIP,
    TABLES,
)
from chita_edge.quantization.traced_steps import TracedSteps
from chita_edge.quantization.traced_values import ROWS, is_dropout

if TYPE_CHECKING:
    from collections.abc import Mapping

_SQUEEZES = ("squeeze", torch.squeeze)
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class Builder(TracedSteps):
    """Converts one traced node after the other."""

    def add(self, node: fx.Node) -> None:
        """Make a node a step of integers, or note why it has to be of float32."""
        if self.floats is None or node.op in ("placeholder", "output"):
            self._convert(node)
            return
        before = self.found()
        try:
            if self._turns(node):
                return
            self.in_rows = self._is_of_rows(node)
            if node.op != "get_attr" and not self.in_rows:
                self._check_values(node)
            self._convert(node)
        except UnsupportedNetworkError as why:
            self.restore(before)
            made = self.floats.values.shape(node)
            moves = node.target in MOVES or getattr(self._module_of(node), "moves", False)
            plain = moves or (node.op != "call_module" and made is None)
            reason = why.what if isinstance(why, RefusalError) else str(why)
            self.floats.reasons[node] = "" if plain else reason
        finally:
            self.in_rows = False

    def _is_of_rows(self, node: fx.Node) -> bool:
        """Whether a node is linear on the rows within each sample, or a function of single numbers behind that."""
        assert self.floats is not None  # noqa: S101 (the caller has looked)
        module, values, source = self._module_of(node), self.floats.values, (*node.args, None)[0]
        if self.series or not isinstance(source, fx.Node) or not values.is_coded(node, in_rows=True):
            return False
        if isinstance(module, nn.Linear):
            return values.is_coded(source, in_rows=True) and source not in self.stands
        known = type(module) if node.op == "call_module" else node.target
        single = known in CLIPS or known in TABLES or is_dropout(node, self.modules) or isinstance(module, IDENTITIES)
        return single and source in self.rowed

    def _turns(self, node: fx.Node) -> bool:
        """Take a permutation that puts the channels of codes last, or behind the batch, for another view of them."""
        source = (*node.args, None)[0]
        axes: Any = getattr(self._module_of(node), "permutation", None)
        if node.target in ("permute", torch.permute):
            axes = node.args[1] if isinstance(node.args[1], tuple | list) else node.args[1:]
        if self.series or axes is None or not isinstance(source, fx.Node) or source in self.pads:
            return False
        if tuple(axes) == _TO_LAST and source in self.stands:
            self.rowed[node] = self.stands[source]
        elif tuple(axes) == _TO_FIRST and source in self.rowed:
            self.stands[node] = self.rowed[source]
        else:
            return False
        return True

    def _check_values(self, node: fx.Node) -> None:
        """Refuse a node whose values no step of integers takes, and one that a float step before it does better."""
        assert self.floats is not None  # noqa: S101 (the caller has looked)
        module, values = self._module_of(node), self.floats.values
        misfit = values.misfit(node)
        if misfit is None and isinstance(module, nn.Linear) and len(values.shapes[node.name]) != ROWS:
            misfit = f"values of {len(values.shapes[node.name])} dimensions"
        if misfit is not None:
            of_codes = node.target in (*ADDS, *MULTIPLIES) or isinstance(module, LAYERS)
            raise self._refusal(node, f"{self._called(node)}{f' on {misfit}' if of_codes else ''}")
        if node.name in self.floats.refused:
            raise self._refusal(node, "")
        if not isinstance(module, LAYERS) and node.target not in CONVOLUTIONS and self._goes_on(node):
            raise self._refusal(node, "")

    def _module_of(self, node: fx.Node) -> nn.Module | None:
        return self.modules.get(str(node.target)) if node.op == "call_module" else None

    def _convert(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._input(node)
        elif node.op == "output":
            result = node.args[0]
            if not isinstance(result, fx.Node):
                raise UnsupportedNetworkError("The network has more than one output; quantisation takes one.")
            self.output = self.stands.get(result) or self._real_output(result)
            if self.series and self.output not in self.reals.values() and not self._is_flat(self.output):
                self.steps[node.name] = Step(node.name, "series", (self.output,))
                self.output = node.name
        elif node.op == "call_module":
            self._module(node, str(node.target), self.modules[str(node.target)])
        elif node.op == "get_attr":
            self.tensors[node] = str(node.target)
        elif node.target in CONVOLUTIONS:
            self._functional_convolution(node)
        else:
            self._function(node, node.target)

    def _real_output(self, result: fx.Node) -> str:
        """The network's output as real numbers, in its own layout."""
        if result not in self.rowed:
            return self._float(result)
        assert self.floats is not None  # noqa: S101 (no value has its channels last without)
        name = f"{result.name}_float"
        part = self.floats.module([result], [], {result: "rows"})
        self.steps[name] = Step(name, "float", (self.rowed[result],), part=part)
        self.reals[result] = name
        return name

    def _input(self, node: fx.Node) -> None:
        """An input: codes, or what only float steps read, such as token ids."""
        place, shape = len(self.arguments), None if self.floats is None else self.floats.values.shape(node)
        if place and self.floats is None:
            raise UnsupportedNetworkError("The network has more than one input; quantisation takes one.")
        self.arguments[node] = place
        if self.floats is not None and not self.floats.values.is_coded(node):
            self._float(node)
            return
        is_rows = shape is not None and len(shape) == ROWS
        if is_rows:
            self.flat.add(node.name)
        series = self.series and not is_rows
        self._put(node, Step(node.name, "input", place=place, argument=str(node.target), series=series))

    def _module(self, node: fx.Node, name: str, module: nn.Module) -> None:
        source = self._source(node)
        pooling = pool_of(module)
        if self.series and isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            raise self._refusal(node, f"the {type(module).__name__} {name} in a network of series")
        if isinstance(module, LAYERS):
            self._layer(node, name, source, layer_of(name, module))
        elif isinstance(module, NORM_MODULES):
            self._batch_norm(node, name, module, source)
        elif isinstance(module, PAD_MODULES):
            self._pad(node, module.padding, getattr(module, "value", 0))
        elif type(module) in CLIPS:
            self._clip(node, name, CLIPS[type(module)], source)
        elif isinstance(module, nn.Hardtanh):
            self._clip(node, name, Clip(module.min_val, module.max_val), source)
        elif type(module) in TABLES:
            self._put(node, Step(node.name, "table", (source,), function=TABLES[type(module)]))
        elif isinstance(module, IDENTITIES):
            self._stand(node, source)
        elif pooling is not None:
            self._put(node, Step(node.name, pooling[0], (source,), pool=pooling[1]))
        elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            self._put(node, Step(node.name, "flatten", (source,)))
        else:
            raise self._refusal(node, self._called(node))

    def _layer(self, node: fx.Node, name: str, source: str, layer: Layer) -> None:
        if name in self.steps:
            raise UnsupportedNetworkError(f"{name} is used twice; a quantised layer has one input.")
        if self.in_rows:
            layer = replace(layer, weight=layer.weight[:, :, None, None])
        first = node.args[0]
        left, right, top, bottom = self.pads.get(first, (0, 0, 0, 0)) if isinstance(first, fx.Node) else (0, 0, 0, 0)
        if (left, right, top, bottom) != (0, 0, 0, 0):
            if not layer.is_convolution:
                raise self._refusal(node, f"the zeros before {name}")
            padding = (layer.padding[0] + top, layer.padding[1] + left)
            more = (layer.more_padding[0] + bottom - top, layer.more_padding[1] + right - left)
            layer = replace(layer, padding=padding, more_padding=more)
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
        if not isinstance(module, CONVOLUTION_MODULES) or isinstance(given.get("padding"), str):
            raise self._refusal(node, f"the convolution by {self.tensors[weight]}")
        self._layer(node, name, self._source(node), function_layer(name, module, given))

    def _pad(self, node: fx.Node, sides: Any, value: Any) -> None:
        """Zeros around an image or a series, which the convolutions that read it take as their own padding."""
        first = node.args[0]
        sides = (sides,) * 4 if isinstance(sides, int) else tuple(sides)
        nested = isinstance(first, fx.Node) and first in self.pads
        allowed = (2,) if self.series else (2, 4)
        if len(sides) not in allowed or nested or value not in (None, 0, 0.0) or min(sides) < 0:
            raise self._refusal(node, "the padding")
        for user in node.users:
            if not isinstance(self._module_of(user), CONVOLUTION_MODULES) and user.target not in CONVOLUTIONS:
                raise self._refusal(node, "a padding before what is no convolution")
        self.stands[node] = self._source(node)
        left, right, top, bottom = (*sides, 0, 0)[:4]
        self.pads[node] = (left, right, top, bottom)

    def _function(self, node: fx.Node, target: Any) -> None:
        arguments = node.args[1:]
        pooling = pool_of_function(target, arguments, node.kwargs)
        if target in (*ADDS, *MULTIPLIES) and len(node.args) == 2 and isinstance(node.args[1], fx.Node):
            op: Op = "add" if target in ADDS else "multiply"
            self._put(node, Step(node.name, op, (self._source(node), self._step_of(node.args[1], node))))
        elif target in CONCATS and (arguments or (node.kwargs.get("dim"),)) == (1,):
            parts = tuple(self._step_of(part, node) for part in node.args[0])  # type: ignore[union-attr]
            self._put(node, Step(node.name, "concat", parts))
        elif target is functional.pad:
            known = dict(zip(("pad", "mode", "value"), arguments, strict=False)) | node.kwargs
            if known.get("mode", "constant") != "constant":
                raise self._refusal(node, f"padding with {known['mode']}")
            self._pad(node, known["pad"], known.get("value"))
        elif target in CLIPS:
            self._clip(node, node.name, CLIPS[target], self._source(node))
        elif target in TABLES:
            self._put(node, Step(node.name, "table", (self._source(node),), function=TABLES[target]))
        elif target in (*MEANS, *LARGEST) and self._is_whole(arguments, node.kwargs):
            self._reduce(node, "average_pool" if target in MEANS else "max_pool")
        elif pooling is not None:
            self._put(node, Step(node.name, pooling[0], (self._source(node),), pool=pooling[1]))
        elif (
            _flattens(target, arguments) or self._makes_rows(node) or (target in _SQUEEZES and self._leaves_rows(node))
        ):
            self._put(node, Step(node.name, "flatten", (self._source(node),)))
        elif target in ("size", getattr):
            return  # the batch size of a reshape
        elif target in (functional.dropout, "contiguous"):
            self._stand(node, self._source(node))
        else:
            raise self._refusal(node, getattr(target, "__name__", str(target)))

    def _reduce(self, node: fx.Node, op: Op) -> None:
        """A pooling over whole images, with or without their sides afterwards."""
        pooled = f"{node.name}_pool"
        self.steps[pooled] = Step(pooled, op, (self._source(node),), pool=Pool())
        if True in (*node.args[2:], node.kwargs.get("keepdim")):
            self.stands[node] = pooled
        else:
            self._put(node, Step(node.name, "flatten", (pooled,)))

    def _is_whole(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
        """Whether the axes of a reduction are those of an image, or of a series."""
        axes = arguments[0] if arguments else named.get("dim", ())
        axes = (axes,) if isinstance(axes, int) else tuple(axes)
        rank = 3 if self.series else 4
        return tuple(sorted(axis % rank for axis in axes)) == tuple(range(2, rank))

    def _makes_rows(self, node: fx.Node) -> bool:
        """Whether a change of shape joins all axes but the first, by the sizes."""
        values, first = self.floats, node.args[0] if node.args else None
        if values is None or node.target not in (*RESHAPES, torch.reshape, "flatten") or not isinstance(first, fx.Node):
            return False
        made, read = values.values.shapes[node.name], values.values.shapes[first.name]
        return len(made) == ROWS and made[1] == read[1:].numel()

    def _leaves_rows(self, node: fx.Node) -> bool:
        """Whether a squeeze takes the time from the pooling of a whole series."""
        step = self.steps[self._source(node)]
        whole = step.pool is not None and step.pool.kernel is None
        return self.series and whole and (*node.args[1:], *node.kwargs.values()) in ((2,), (-1,))

    def _clip(self, node: fx.Node, name: str, clip: Clip, source: str) -> None:
        step = self._fusible(node, source, ("layer", "add"))
        if step is not None:
            self._put(node, replace(step, clip=clip))
        elif clip in TABLE_OF_CLIP:
            self._put(node, Step(node.name, "table", (source,), function=TABLE_OF_CLIP[clip]))
        else:
            raise self._refusal(node, f"the activation {name}")

    def _batch_norm(self, node: fx.Node, name: str, module: Norm, source: str) -> None:
        factor, shift = norm_factors(name, module)
        step = self._fusible(node, source, ("layer",))
        if step is not None:
            self._put(node, replace(step, layer=folded(step.weights, factor, shift), norm=name))
        elif self._is_flat(source):
            raise self._refusal(node, f"the {type(module).__name__} {name} behind what is no linear layer")
        else:
            layer = Layer(factor.float()[:, None, None, None], shift.float(), groups=len(factor))
            self._put(node, Step(name, "layer", (source,), layer=layer, norm=name))


def _flattens(target: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether a call joins all axes but the first."""
    if target in (torch.flatten, "flatten"):
        return arguments == (1,)
    return target in RESHAPES and len(arguments) == 2 and arguments[1] == -1
