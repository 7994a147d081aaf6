"""Layers, windows and zeros of torch modules. Those over series are of height 1: (n, c, t) is read as (n, c, 1, t)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from chita_edge.quantization.errors import UnsupportedNetworkError
from chita_edge.quantization.graph import Layer, Pair, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chita_edge.quantization.graph import Op

Norm = nn.BatchNorm1d | nn.BatchNorm2d
CONVOLUTION_MODULES = (nn.Conv1d, nn.Conv2d)
LAYERS = (*CONVOLUTION_MODULES, nn.Linear)
NORM_MODULES = (nn.BatchNorm1d, nn.BatchNorm2d)
PAD_MODULES = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d)
_SERIES_MODULES = (
    nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveMaxPool1d, nn.AdaptiveAvgPool1d, nn.ZeroPad1d, nn.ConstantPad1d,
)  # fmt: skip
_SERIES_FUNCTIONS: tuple[Any, ...] = (
    functional.conv1d, functional.max_pool1d, functional.avg_pool1d, functional.adaptive_avg_pool1d,
    functional.adaptive_max_pool1d, torch.conv1d, torch.max_pool1d, torch.avg_pool1d, torch.adaptive_avg_pool1d,
)  # fmt: skip
_POOL_MODULES: dict[type[nn.Module], Op] = {
    nn.MaxPool1d: "max_pool", nn.MaxPool2d: "max_pool", nn.AvgPool1d: "average_pool", nn.AvgPool2d: "average_pool",
}  # fmt: skip
_WHOLE_MODULES: dict[type[nn.Module], Op] = {
    nn.AdaptiveMaxPool1d: "max_pool", nn.AdaptiveMaxPool2d: "max_pool",
    nn.AdaptiveAvgPool1d: "average_pool", nn.AdaptiveAvgPool2d: "average_pool",
}  # fmt: skip
_MAX_FUNCTIONS: tuple[Any, ...] = (functional.max_pool1d, functional.max_pool2d, torch.max_pool1d, torch.max_pool2d)
_AVERAGE_FUNCTIONS: tuple[Any, ...] = (functional.avg_pool1d, functional.avg_pool2d)
_WHOLE_FUNCTIONS: dict[object, Op] = {
    functional.adaptive_avg_pool1d: "average_pool", functional.adaptive_avg_pool2d: "average_pool",
    functional.adaptive_max_pool1d: "max_pool", functional.adaptive_max_pool2d: "max_pool",
}  # fmt: skip
_MAX_NAMES = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE_NAMES = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


def is_of_series(part: object) -> bool:
    """Whether a module, or a function, is one over series."""
    return isinstance(part, _SERIES_MODULES) or part in _SERIES_FUNCTIONS


def pair(value: Any, before: int = 1) -> Pair:
    """Down and right of a size; that of a series, a tuple of one, has ``before`` down."""
    if isinstance(value, int):
        return value, value
    sides = (before, *value) if len(value) == 1 else tuple(value)
    first, second = sides
    return int(first), int(second)


def layer_of(name: str, module: nn.Module) -> Layer:
    """Weights and geometry of a convolution or linear layer.

    Raises:
        UnsupportedNetworkError: it pads with other than zeros.
    """
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)  # noqa: S101 (the callers look)
    weight = module.weight.detach().float().clone()
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach().float().clone()
    if isinstance(module, nn.Linear):
        return Layer(weight, bias)
    if module.padding_mode != "zeros":
        raise UnsupportedNetworkError(f"{name} pads with {module.padding_mode}; quantisation pads with zeros.")
    dilation, more = pair(module.dilation), (0, 0)
    if module.padding == "same":
        extents = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        padding, more = pair([e // 2 for e in extents], 0), pair([e % 2 for e in extents], 0)
    else:
        padding = (0, 0) if isinstance(module.padding, str) else pair(module.padding, 0)
    weight = weight[:, :, None] if weight.dim() == 3 else weight
    return Layer(weight, bias, pair(module.stride), padding, dilation, module.groups, more)


def function_layer(name: str, module: nn.Module, given: Mapping[str, Any]) -> Layer:
    """The layer of a functional convolution with a module's weight, as a forward of its own calls it."""
    own = layer_of(name, module)
    series = isinstance(module, nn.Conv1d)

    def sides(key: str, default: int, before: int) -> Pair:
        value = given.get(key, default)
        return pair((value,), before) if series and isinstance(value, int) else pair(value, before)

    return replace(
        own, stride=sides("stride", 1, 1), padding=sides("padding", 0, 0), dilation=sides("dilation", 1, 1),
        more_padding=(0, 0),
    )  # fmt: skip


def pool_of(module: nn.Module) -> tuple[Op, Pool] | None:
    """Op and window of a pooling module; None of another, and where the window has no integer form."""
    if type(module) in _WHOLE_MODULES:
        whole = module.output_size in (1, (1,), (1, 1), [1], [1, 1])
        return (_WHOLE_MODULES[type(module)], Pool()) if whole and not _tells(module.__dict__) else None
    op = _POOL_MODULES.get(type(module))
    return None if op is None else _window(op, vars(module), series=is_of_series(module))


def pool_of_function(target: object, arguments: Sequence[Any], named: Mapping[str, Any]) -> tuple[Op, Pool] | None:
    """Op and window of a functional pooling, as `pool_of`; ``arguments`` are those behind the values."""
    if target in _WHOLE_FUNCTIONS:
        size = arguments[0] if arguments else named.get("output_size")
        return (_WHOLE_FUNCTIONS[target], Pool()) if size in (1, (1,), (1, 1), [1], [1, 1]) else None
    largest = target in _MAX_FUNCTIONS
    if not largest and target not in _AVERAGE_FUNCTIONS:
        return None
    known = dict(zip(_MAX_NAMES if largest else _AVERAGE_NAMES, arguments, strict=False)) | dict(named)
    return _window("max_pool" if largest else "average_pool", known, series=is_of_series(target))


def _window(op: Op, known: Mapping[str, Any], *, series: bool) -> tuple[Op, Pool] | None:
    def sides(key: str, default: Any, before: int) -> Pair:
        value = known.get(key)
        value = default if value is None or value == () else value
        return pair((value,), before) if series and isinstance(value, int) else pair(value, before)

    kernel, padding = sides("kernel_size", None, 1), sides("padding", 0, 0)
    odd = known.get("ceil_mode") or _tells(known) or known.get("divisor_override")
    if odd or sides("dilation", 1, 1) != (1, 1) or (op == "average_pool" and padding != (0, 0)):
        return None
    return op, Pool(kernel, sides("stride", known["kernel_size"], 1), padding)


def _tells(known: Mapping[str, Any]) -> bool:
    """Whether a pooling gives the places of the largest values too."""
    return bool(known.get("return_indices"))


def folded(layer: Layer, factor: torch.Tensor, shift: torch.Tensor) -> Layer:
    """The layer with batch norm behind it, y · factor + shift, float64 (out,)."""
    along = factor.view(-1, *[1] * (layer.weight.dim() - 1))
    weight = (layer.weight.double() * along).float()
    return replace(layer, weight=weight, bias=(layer.bias.double() * factor + shift).float())


def norm_factors(name: str, module: Norm) -> tuple[torch.Tensor, torch.Tensor]:
    """What batch norm multiplies with and adds in evaluation mode, float64 (channels,).

    Raises:
        UnsupportedNetworkError: it keeps no statistics.
    """
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedNetworkError(f"The batch norm {name} keeps no statistics, so it cannot be folded.")
    factor = (module.running_var.double() + module.eps).rsqrt()
    if module.weight is not None:
        factor = factor * module.weight.detach().double()
    shift = -module.running_mean.double() * factor
    if module.bias is not None:
        shift = shift + module.bias.detach().double()
    return factor, shift
