"""Calls of linear and convolution that a network makes with its own parameters."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode, resolve_name

from chita_edge.network.errors import CalibrationError
from chita_edge.network.layer import Convolution, LayerForm, Linear

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

    Handler = Callable[[str, LayerForm, torch.Tensor, Callable[[], torch.Tensor]], torch.Tensor]
    Sides = int | Sequence[int]


class LayerCalls(TorchFunctionMode):
    """A context in which every call of linear or convolution with a chosen parameter goes through a handler.

    Layers are found by what is computed, not by modules: a weight that several modules share, a module with a forward
    of its own, and ``functional.linear(x, self.weight)`` are all seen. Only calls of the thread that entered count.

    Args:
        model: the network that is run inside.
        names: of its parameters.
        handler: called with the parameter's name, the layer's form, its input (a convolution's as (batch, channels,
            height, width)) and a function that computes the output; returns the output.

    Attributes:
        elsewhere: for each chosen parameter that another function reads, that function's name.
        batch_statistics: whether a batch norm took its statistics from the batch.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], handler: Handler) -> None:
        super().__init__()
        self._names = {id(model.get_parameter(name)): name for name in names}
        self._handler = handler
        self.elsewhere: dict[str, str] = {}
        self.batch_statistics = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            with self:  # the linear layers that it is made of
                return _attention(*args, **kwargs)
        reader, others = _READERS.get(func), args
        if reader is not None:
            inputs, weight, form, others = reader(*args, **kwargs)
            name = self._names.get(id(weight))
            if name is not None:
                self._note(func, others)
                if isinstance(form, Convolution) and inputs.ndim < _BATCHED:
                    raise CalibrationError(f"{name} is applied to a sample without a batch dimension. Keep it dense.")
                return self._handler(name, form, inputs, lambda: func(*args, **kwargs))
        elif func in _BATCH_NORMS:
            self.batch_statistics |= bool(kwargs.get("training", args[5] if len(args) > _TRAINING else False))
        result = func(*args, **kwargs)
        if func not in _HARMLESS and _holds_tensor(result):
            self._note(func, args[:1] if func in _LIKE else (args, kwargs.values()))
        return result

    def _note(self, func: Any, arguments: Any) -> None:
        for argument in arguments:
            if isinstance(argument, torch.Tensor):
                if (name := self._names.get(id(argument))) is not None:
                    self.elsewhere[name] = resolve_name(func) or getattr(func, "__name__", str(func))
            elif isinstance(argument, list | tuple | _VALUES):
                self._note(func, argument)


def check_used(names: Sequence[str], called: Iterable[str], calls: LayerCalls) -> None:
    """Refuse parameters whose effect on the network is not, or not only, that of the calls.

    Raises:
        CalibrationError: one of the names was not called, or another function reads it too.
    """
    called = set(called)
    for name in names:
        other = calls.elsewhere.get(name)
        if other is not None:
            also = "too" if name in called else "before any linear layer or convolution sees it"
            raise CalibrationError(
                f"{name} cannot be pruned: {other} reads it {also}, so its zeros are not zeros of what the network "
                "multiplies by. Keep it dense."
            )
        if name not in called:
            raise CalibrationError(f"The network never uses {name} in a linear layer or convolution. Keep it dense.")


def _holds_tensor(result: Any) -> bool:
    if isinstance(result, list | tuple):
        return any(map(_holds_tensor, result))
    return isinstance(result, torch.Tensor)


def _linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:  # noqa: A002 (torch's names)
    return input, weight, Linear(), (input, bias)


def _convolution(
    input: torch.Tensor,  # noqa: A002 (torch's names)
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sides = 1,
    padding: Sides | str = 0,
    dilation: Sides = 1,
    groups: int = 1,
) -> Any:
    sides = weight.ndim - 2
    kernel = tuple(weight.shape[2:])
    strides, dilations = _sides(stride, sides), _sides(dilation, sides)
    if padding == "same":
        totals = [step * (side - 1) for step, side in zip(dilations, kernel, strict=True)]
        before, after = [total // 2 for total in totals], [total - total // 2 for total in totals]
    else:
        before = after = [0] * sides if isinstance(padding, str) else list(_sides(padding, sides))
    if sides == 1:  # over time: an image of one row
        kernel, strides, dilations = (1, *kernel), (1, *strides), (1, *dilations)
        before, after = [0, *before], [0, *after]
    inputs = input.unsqueeze(-2) if sides == 1 else input
    pads = (before[1], after[1], before[0], after[0])
    return inputs, weight, Convolution(kernel, strides, pads, dilations, groups), (input, bias)  # type: ignore[arg-type]


def _sides(value: Sides, count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


# torch hands the function over whole to whoever watches; its body is run as if nobody did.
_attention: Callable[..., Any] = FunctionType(
    functional.multi_head_attention_forward.__code__,
    {**vars(functional), "has_torch_function": lambda _: False},
    "multi_head_attention_forward",
    functional.multi_head_attention_forward.__defaults__,
)
_BATCHED, _TRAINING = 4, 5
_VALUES: type = type({}.values())
_aten = torch.ops.aten
_READERS: dict[Any, Callable[..., Any]] = {
    functional.linear: _linear,
    _aten.linear: _linear,
    _aten.linear.default: _linear,
    **dict.fromkeys(
        (
            torch.conv1d,
            torch.conv2d,
            _aten.conv1d,
            _aten.conv1d.default,
            _aten.conv1d.padding,
            _aten.conv2d,
            _aten.conv2d.default,
            _aten.conv2d.padding,
        ),
        _convolution,
    ),
}
_BATCH_NORMS = (functional.batch_norm, torch.batch_norm)
# Functions that take from a parameter its kind or its shape, not its values.
_HARMLESS = (
    torch.zeros_like,
    torch.ones_like,
    torch.empty_like,
    torch.full_like,
    torch.rand_like,
    torch.randn_like,
    torch.Tensor.new_zeros,
    torch.Tensor.new_ones,
    torch.Tensor.new_empty,
    torch.Tensor.new_full,
    torch.Tensor.new_tensor,
)
# The same of their second argument.
_LIKE = (
    torch.Tensor.to,
    torch.Tensor.type_as,
    torch.Tensor.expand_as,
    torch.Tensor.view_as,
    torch.Tensor.reshape_as,
)
