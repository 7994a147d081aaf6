"""Torch's functions of single numbers: of codes each of them is a table of 256 bytes."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULES = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU,
    nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign,
    nn.Tanh, nn.Tanhshrink, nn.Threshold, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
)  # fmt: skip
_NAMES = [
    "abs", "add", "celu", "clamp", "clamp_max", "clamp_min", "clip", "cos", "dropout", "elu", "erf", "exp", "gelu",
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish", "mul", "neg", "relu",
    "relu6", "rsub", "selu", "sigmoid", "silu", "sin", "softplus", "softshrink", "softsign", "square", "sub", "tanh",
    "tanhshrink", "threshold",
]  # fmt: skip
_FUNCTIONS = frozenset(
    getattr(room, name)
    for room in (torch, functional)
    for name in _NAMES
    if hasattr(room, name)
) | {operator.add, operator.iadd, operator.mul, operator.imul, operator.neg, operator.sub, operator.isub}  # fmt: skip
_METHODS = frozenset((*_NAMES, *(f"{name}_" for name in _NAMES)))
_DIVISIONS = (operator.truediv, operator.itruediv, torch.div, "div", "div_")
_POWERS = (operator.pow, torch.pow, "pow", "pow_")


def is_elementwise(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a node makes each number of one of the same place, finite wherever that is.

    Numbers beside tensors are constants; those that divide are not 0, and powers whole and not negative.
    """
    if node.op == "call_module":
        module = modules[str(node.target)]
        return type(module) in _MODULES or (isinstance(module, nn.PReLU) and module.num_parameters == 1)
    others: list[Any] = [*node.args, *node.kwargs.values()]
    if not all(isinstance(one, fx.Node | int | float | str | None) for one in others):
        return False
    if node.target in _DIVISIONS:
        return len(others) == 2 and _is_number(others[1]) and bool(others[1] != 0)
    if node.target in _POWERS:
        return len(others) == 2 and _is_number(others[1]) and bool(others[1] >= 0 and float(others[1]).is_integer())
    return node.target in (_METHODS if node.op == "call_method" else _FUNCTIONS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
