"""Integer arithmetic of each step, carried out in floating point without rounding, with gradients straight through.

Codes are integers held in float32. Sums of products are exact in float32 while they stay below 2²⁴, whatever the order
of the additions, and in float64 beyond. What follows a sum is written as its float32 operations, so the results equal
those of `integer_reference` to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from chita_edge.quantization.graph import pool_window
from chita_edge.quantization.grid import LEVELS, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chita_edge.quantization.graph import Clip, Curve, Layer, Pair, Pool, Step

_EXACT_FLOAT32 = 1 << 24


class _Requantise(torch.autograd.Function):
    """clamp(rne(v) + z, low, high); the gradient passes where the clamp does nothing."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, zero: int, low: int, high: int) -> torch.Tensor:
        codes = values.round().add_(zero)
        ctx.save_for_backward((codes >= low) & (codes <= high))
        return codes.clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return gradient * ctx.saved_tensors[0], None, None, None


class _Round(torch.autograd.Function):
    """Rounding to the nearest integer, ties to even; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        del ctx
        return values.round()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        del ctx
        return gradient


def round_through(values: torch.Tensor) -> torch.Tensor:
    """Values rounded to integers, with the gradient of the identity."""
    rounded: torch.Tensor = _Round.apply(values)  # type: ignore[no-untyped-call]
    return rounded


def requantise(values: torch.Tensor, grid: Grid, clip: Clip | None = None) -> torch.Tensor:
    """Codes of values that are in units of the grid's scale already."""
    low, high = (0, LEVELS) if clip is None else (grid.code_of(clip.low), grid.code_of(clip.high))
    codes: torch.Tensor = _Requantise.apply(values, grid.zero, low, high)  # type: ignore[no-untyped-call]
    return codes


def accumulate(layer: Layer, codes: torch.Tensor, grid: Grid, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Acc = Σ q_w (q_x − z_x) + b, rounded once to float32 as an int32 accumulator would be.

    Args:
        layer: the geometry.
        codes: q_x.
        grid: of the input.
        weight: q_w, integers in float32.
        bias: b, integers in float32 or, where they need it, float64.
    """
    centred = codes - grid.zero
    largest = float((weight.detach().abs().flatten(1).sum(1, dtype=torch.float64) * LEVELS + bias.detach().abs()).max())
    if largest < _EXACT_FLOAT32:
        with torch.backends.nnpack.flags(enabled=False):  # its Winograd form rounds
            return layer.product(centred, weight, bias.float())
    return layer.product(centred.double(), weight.double(), bias.double()).float()


def multiplier(input_scale: float, weight_scale: torch.Tensor, output_scale: float) -> torch.Tensor:
    """s[m] = (s_x · s_w[m]) / s_y, float32 (out,), in this order."""
    return (weight_scale * input_scale) / output_scale


def per_channel(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A number a channel, shaped to multiply a layer's output: (out, 1, 1) of images, (out,) of a linear layer."""
    return values[:, None, None] if like.dim() == 4 else values


def add_codes(step: Step, codes: Sequence[torch.Tensor], grids: Sequence[Grid], out: Grid) -> torch.Tensor:
    """Sum of two tensors: rne(fma(a, r_a, fma(b, r_b, fix))), r = s / s_y, fix = z_y − fma(r_a, z_a, r_b z_b), float32.

    The fused multiply-adds, each rounded once, are those of MLAS's `QLinearAdd` on processors with FMA. A product of
    a code and a float32 number, and its sum with another, are exact in float64 unless their sizes are 2²⁰ apart.
    """
    ratios = [np.float32(grid.scale) / np.float32(out.scale) for grid in grids]
    zeros = [np.float32(grid.zero) for grid in grids]
    other = np.float64(ratios[1] * zeros[1])
    fix = np.float32(out.zero) - np.float32(np.float64(ratios[0]) * np.float64(zeros[0]) + other)
    inner = (codes[1].double() * float(ratios[1]) + float(fix)).float()
    values = (codes[0].double() * float(ratios[0]) + inner.double()).float()
    # The zero point is within `fix`, before the rounding.
    low, high = out.code_of(step.clip.low), out.code_of(step.clip.high)
    summed: torch.Tensor = _Requantise.apply(values, 0, low, high)  # type: ignore[no-untyped-call]
    return summed


def multiply_codes(codes: Sequence[torch.Tensor], grids: Sequence[Grid], out: Grid) -> torch.Tensor:
    """Product of two tensors: rne(fma((a − z_a)(b − z_b), (s_a s_b) / s_y, z_y)), float32."""
    first, second = (np.float32(grid.scale) for grid in grids)
    factor = np.float32(first * second) / np.float32(out.scale)
    product = (codes[0] - grids[0].zero) * (codes[1] - grids[1].zero)
    values = (product.double() * float(factor) + out.zero).float()
    rounded: torch.Tensor = _Requantise.apply(values, 0, 0, LEVELS)  # type: ignore[no-untyped-call]
    return rounded


def concat_codes(codes: Sequence[torch.Tensor], grids: Sequence[Grid], out: Grid) -> torch.Tensor:
    """Parts side by side; a part of another grid is requantised, rne((s (q − z)) / s_y) + z_y."""
    parts = [
        part if grid == out else requantise((part - grid.zero) * grid.scale / out.scale, out)
        for part, grid in zip(codes, grids, strict=True)
    ]
    return torch.cat(parts, 1)


def average_codes(pool: Pool, codes: torch.Tensor, grid: Grid, out: Grid) -> torch.Tensor:
    """Mean over windows, rne(Σ (q − z) · f) + z_y.

    Of whole images, f = s / (s_y n), n the values of a window, as in `QLinearGlobalAveragePool`. A smaller window is a
    depthwise convolution with weights of 1 and the scale 1 / n: f = (s · (1 / n)) / s_y.
    """
    kernel, stride, _ = pool_window(pool, codes)
    sums = functional.avg_pool2d(codes - grid.zero, kernel, stride, divisor_override=1)
    return requantise(sums * float(average_factor(pool, kernel, grid, out)), out)


def average_factor(pool: Pool, kernel: Pair, grid: Grid, out: Grid) -> np.float32:
    """F of `average_codes`, a float32 number."""
    count, scale = np.float32(kernel[0] * kernel[1]), np.float32(grid.scale)
    if pool.kernel is None:
        return np.float32(scale / (np.float32(out.scale) * count))
    return np.float32((scale * (np.float32(1) / count)) / np.float32(out.scale))


def max_codes(pool: Pool, codes: torch.Tensor) -> torch.Tensor:
    """Largest code of each window; padding never wins."""
    kernel, stride, padding = pool_window(pool, codes)
    return functional.max_pool2d(codes, kernel, stride, padding)


def table_codes(function: Curve, codes: torch.Tensor, grid: Grid, out: Grid) -> torch.Tensor:
    """F of each code by a table of 256; the gradient is that of f."""
    exact = function_table(function, grid, out)[codes.detach().long()]
    if not codes.requires_grad:
        return exact
    smooth = requantise(function(grid.dequantise(codes)) / out.scale, out)
    return smooth + (exact - smooth).detach()


def function_table(function: Curve, grid: Grid, out: Grid) -> torch.Tensor:
    """Codes of f(s (q − z)) for the 256 codes q, float32 (256,); f in float64, so that no processor differs."""
    codes = torch.arange(LEVELS + 1, dtype=torch.float64)
    values = function((codes - grid.zero) * grid.scale).float()
    return out.quantise(values)
