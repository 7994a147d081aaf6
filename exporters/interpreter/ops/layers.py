"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from exporters.interpreter.dtypes import NotComputed

Tensor = torch.Tensor
_CONVOLUTIONS = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
_TRANSPOSED = {1: torch.conv_transpose1d, 2: torch.conv_transpose2d, 3: torch.conv_transpose3d}


def same_pads(
    auto_pad: str, sizes: list[int], kernel: list[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """Zeros before and after each axis that make ⌈size / stride⌉ outputs, as ONNX lists pads."""
    before, after = [], []
    for size, side, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + dilation * (side - 1) + 1 - size)
        less, more = total // 2, total - total // 2
        before.append(more if auto_pad == "SAME_LOWER" else less)
        after.append(less if auto_pad == "SAME_LOWER" else more)
    return before + after


def padded(x: Tensor, pads: list[int]) -> tuple[Tensor, list[int]]:
    """The tensor with those pads that differ from side to side, and what is left for the operator to pad."""
    half = len(pads) // 2
    before, after = pads[:half], pads[half:]
    if before == after:
        return x, before
    flat = [side for pair in zip(before[::-1], after[::-1], strict=True) for side in pair]
    return functional.pad(x, flat), [0] * half


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Convolution over one, two or three axes, with the weight itself as torch's argument."""
    del kernel_shape
    axes = weight.ndim - 2
    if axes not in _CONVOLUTIONS:
        raise NotComputed(f"a convolution over {axes} axes")
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    around = pads or [0] * 2 * axes
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        around = same_pads(auto_pad, list(x.shape[2:]), list(weight.shape[2:]), strides, dilations)
    elif auto_pad == "VALID":
        around = [0] * 2 * axes
    x, sides = padded(x, around)
    return _CONVOLUTIONS[axes](x, weight, bias, strides, sides, dilations, group)


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Transposed convolution."""
    del kernel_shape
    axes = weight.ndim - 2
    if axes not in _TRANSPOSED or output_shape is not None or auto_pad not in ("NOTSET", "VALID"):
        raise NotComputed("a transposed convolution of a given output size")
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    pads, more = pads or [0] * 2 * axes, output_padding or [0] * axes
    before, after = pads[:axes], pads[axes:]
    if before == after:
        return _TRANSPOSED[axes](x, weight, bias, strides, before, more, group, dilations)
    if any(more):
        raise NotComputed("a transposed convolution with pads and output padding that differ")
    whole = _TRANSPOSED[axes](x, weight, bias, strides, [0] * axes, [0] * axes, group, dilations)
    for axis, (first, last) in enumerate(zip(before, after, strict=True), start=2):
        whole = whole.narrow(axis, first, whole.shape[axis] - first - last)
    return whole


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, transA: int = 0, alpha: float = 1.0, beta: float = 1.0
) -> Tensor:
    """Product with a layer's weight, (out, in), and a bias: Gemm and MatMul with a constant."""
    x = x.T if transA else x
    if bias is not None and bias.shape == weight.shape[:1] and alpha == beta == 1:
        return functional.linear(x, weight, bias)
    product = functional.linear(x, weight)
    product = product if alpha == 1 else alpha * product
    if bias is None:
        return product
    return product + (bias if beta == 1 else beta * bias)


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    transA: int = 0,
    transB: int = 0,
    alpha: float = 1.0,
    beta: float = 1.0,
) -> Tensor:
    """α A B + β C of computed matrices."""
    product = (a.T if transA else a) @ (b.T if transB else b)
    product = product if alpha == 1 else alpha * product
    if c is None:
        return product
    return product + (c if beta == 1 else beta * c)


def einsum(*inputs: Tensor, equation: str) -> Tensor:
    """Sum of products by an equation."""
    return torch.einsum(equation, *inputs)


OPS: dict[str, Callable[..., Any]] = {
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": torch.matmul,
}
