"""ONNX's convolutions, linear layers, batch norms and padding as torch modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from torch import fx, nn

if TYPE_CHECKING:
    from exporters.interpreter.module_builder import Builder

_CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d}
_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
_ZEROS: dict[int, Any] = {1: nn.ZeroPad1d, 2: nn.ZeroPad2d}


def _parameters(module: nn.Module, **arrays: np.ndarray[Any, Any] | None) -> nn.Module:
    with torch.no_grad():
        for name, array in arrays.items():
            if array is not None:
                getattr(module, name).copy_(torch.from_numpy(np.array(array, np.float32)))
    return module


def convolution(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    """A convolution, behind zeros where they differ from side to side."""
    weight, bias = b.array(node, 1), b.array(node, 2)
    if weight is None or weight.ndim != 2 + b.sides:
        raise b.refusal(node, " over other sides than the network's input has")
    pads = list(attributes.get("pads", [0, 0] * b.sides))
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto not in ("NOTSET", "VALID") or min(pads) < 0:
        raise b.refusal(node, " with automatic padding")
    source, alike = b.value(node), pads[: b.sides] == pads[b.sides :]
    if not alike:
        source = b.call(node, _ZEROS[b.sides](_by_side(pads)), source, "zeros")
    groups, ones = attributes.get("group", 1), (1,) * b.sides
    module = _CONVOLUTIONS[b.sides](
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        tuple(attributes.get("strides", ones)),
        tuple(pads[: b.sides]) if alike else (0,) * b.sides,
        tuple(attributes.get("dilations", ones)),
        groups,
        bias is not None,
    )
    return b.call(node, _parameters(module, weight=weight, bias=bias), source)


def _by_side(pads: list[int]) -> tuple[int, ...]:
    """ONNX's padding, begins and then ends, as torch has it: begin and end of each side, the last side first."""
    half = len(pads) // 2
    return tuple(pad for side in reversed(range(half)) for pad in (pads[side], pads[half + side]))


def pad(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    """Zeros around the sides."""
    pads, value, axes = b.array(node, 1), b.array(node, 2), b.array(node, 3)
    constant = attributes.get("mode", b"constant") == b"constant" and (value is None or float(value.reshape(())) == 0)
    rank = 2 + b.sides
    if pads is None or not constant or axes is not None or pads.size != 2 * rank or pads.min() < 0:
        raise b.refusal(node, " with other than zeros")
    begins, ends = (part.tolist() for part in np.split(pads.reshape(-1), 2))
    if any((*begins[:2], *ends[:2])):
        raise b.refusal(node, " of the batch or the channels")
    return b.call(node, _ZEROS[b.sides](_by_side([*begins[2:], *ends[2:]])), b.value(node))


def linear(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    """A matrix product with a bias or without."""
    weight, bias = b.array(node, 1), b.array(node, 2)
    scaled = attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA", 0)
    if weight is None or weight.ndim != 2 or scaled:
        raise b.refusal(node, " that scales or transposes")
    weight = weight if attributes.get("transB", 0) else weight.T
    if bias is not None and bias.size not in (1, len(weight)):
        raise b.refusal(node, " whose bias differs from row to row")
    bias = None if bias is None else np.broadcast_to(bias.reshape(-1), (len(weight),))
    module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    return b.call(node, _parameters(module, weight=weight, bias=bias), b.value(node))


def batch_norm(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
    """A batch norm in evaluation mode."""
    scale, shift, mean, variance = (b.array(node, place) for place in range(1, 5))
    if scale is None:
        raise b.refusal(node)
    module = _NORMS[b.sides](len(scale), eps=attributes.get("epsilon", 1e-5))
    _parameters(module, weight=scale, bias=shift, running_mean=mean, running_var=variance)
    return b.call(node, module, b.value(node))
