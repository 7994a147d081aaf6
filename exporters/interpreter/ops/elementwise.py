"""Operators that work number by number, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch.nn import functional

from exporters.interpreter.dtypes import torch_dtype

Tensor = torch.Tensor


def divide(x: Tensor, y: Tensor) -> Tensor:
    """Quotient; of integers, without its fraction."""
    return torch.div(x, y) if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def power(x: Tensor, y: Tensor) -> Tensor:
    """X to the power of y, in x's type."""
    return torch.pow(x, y).to(x.dtype)


def modulo(x: Tensor, y: Tensor, fmod: int = 0) -> Tensor:
    """Remainder, with the sign of y, or of x where ``fmod``."""
    return torch.fmod(x, y) if fmod else torch.remainder(x, y)


def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Numbers kept between bounds; the upper one wins where they cross."""
    x = x if low is None else torch.maximum(x, low.to(x.dtype))
    return x if high is None else torch.minimum(x, high.to(x.dtype))


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """x, negative ones times their slope."""
    return torch.where(x < 0, x * slope, x)


def cast(x: Tensor, to: int, **_: Any) -> Tensor:
    """The tensor in another type; half precision is computed in float32."""
    return x.to(torch_dtype(to))


def cast_like(x: Tensor, like: Tensor, **_: Any) -> Tensor:
    """The tensor in the type of another tensor."""
    return x.to(like.dtype)


def dropout(x: Tensor, *_inputs: Tensor | None, **_: Any) -> tuple[Tensor, Tensor]:
    """x, as in inference, and that all of it is kept."""
    return x, torch.ones_like(x, dtype=torch.bool)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit."""
    return functional.gelu(x, approximate=approximate)


def is_inf(x: Tensor, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    """Where x is infinite, of the signs that are looked for."""
    return (torch.isposinf(x) & bool(detect_positive)) | (torch.isneginf(x) & bool(detect_negative))


def _folded(operator: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda *inputs: reduce(operator, inputs)


_SAME = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "IsNaN"),
    *("Log", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sinh", "Sqrt", "Tan", "Tanh"),
)
OPS: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch, name.lower()) for name in _SAME},
    "Add": torch.add,
    "And": torch.logical_and,
    "Cast": cast,
    "CastLike": cast_like,
    "Celu": lambda x, alpha=1.0: functional.celu(x, alpha),
    "Clip": clip,
    "Div": divide,
    "Dropout": dropout,
    "Elu": lambda x, alpha=1.0: torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0))),
    "Equal": torch.eq,
    "Gelu": gelu,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: (alpha * x + beta).clamp(0, 1),
    "HardSwish": lambda x: x * (x / 6 + 0.5).clamp(0, 1),
    "Identity": lambda x: x,
    "IsInf": is_inf,
    "LeakyRelu": lambda x, alpha=0.01: functional.leaky_relu(x, alpha),
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Max": _folded(torch.maximum),
    "Mean": lambda *inputs: reduce(torch.add, inputs) / len(inputs),
    "Min": _folded(torch.minimum),
    "Mish": functional.mish,
    "Mod": modulo,
    "Mul": torch.mul,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "PRelu": prelu,
    "Pow": power,
    "Selu": lambda x, alpha=1.6732632423543772, gamma=1.0507009873554805: (
        gamma * torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))
    ),
    "Softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "Softsign": functional.softsign,
    "Sub": torch.sub,
    "Sum": _folded(torch.add),
    "Swish": lambda x, alpha=1.0: x * torch.sigmoid(alpha * x),
    "ThresholdedRelu": lambda x, alpha=1.0: torch.where(x > alpha, x, torch.zeros_like(x)),
    "Where": torch.where,
    "Xor": torch.logical_xor,
}
