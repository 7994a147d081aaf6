"""The arithmetic of the int8 ops in numpy, from docs/kernels.md, not from the C sources: int64 sums, float32 steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtimes.quantized import Grid

F32 = np.float32


def saturate(value: Any) -> np.ndarray:
    """Nearest even, to 0..255, as uint8."""
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)


def requantise(total: np.ndarray, factor: Any, zero: int) -> np.ndarray:
    """Bytes of integer sums, each float32 of which is multiplied by a factor."""
    scaled = total.astype(F32) * np.asarray(factor, F32)
    return np.clip(np.rint(scaled).astype(np.float64) + zero, 0, 255).astype(np.uint8)


def factors(x: Grid, w_scale: np.ndarray, y: Grid | None) -> np.ndarray:
    """(x_scale * w_scale) / y_scale, a row each."""
    product = F32(x.scale) * w_scale.astype(F32)
    return product if y is None else product / F32(y.scale)


def quantize(x: np.ndarray, grid: Grid) -> np.ndarray:
    """Float32 to bytes; NaN becomes 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.rint(x.astype(F32) / F32(grid.scale)).astype(np.float64) + grid.zero
    return np.where(np.isnan(steps), 0, np.clip(steps, 0, 255)).astype(np.uint8)


def dequantize(q: np.ndarray, grid: Grid) -> np.ndarray:
    """Bytes to float32."""
    return (q.astype(np.int32) - grid.zero).astype(F32) * F32(grid.scale)


def windows(x: np.ndarray, kernel: Any, strides: Any, pads: Any, dilations: Any, fill: int) -> np.ndarray:
    """[N, C, kh, kw, OH, OW]: every tap's view of the padded input."""
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])), constant_values=fill)
    height = padded.shape[2] - dilations[0] * (kernel[0] - 1)
    width = padded.shape[3] - dilations[1] * (kernel[1] - 1)
    rows = [
        np.stack(
            [
                padded[
                    :,
                    :,
                    i * dilations[0] : i * dilations[0] + height : strides[0],
                    j * dilations[1] : j * dilations[1] + width : strides[1],
                ]
                for j in range(kernel[1])
            ],
            2,
        )
        for i in range(kernel[0])
    ]
    return np.stack(rows, 2)


def conv_sums(
    x: np.ndarray, zero: int, weights: np.ndarray, bias: np.ndarray, *,
    strides: Any = (1, 1), pads: Any = (0, 0, 0, 0), dilations: Any = (1, 1), depthwise: bool = False,
) -> np.ndarray:  # fmt: skip
    """The integer sums of a convolution with weights [M, C, kh, kw], or [C, 1, kh, kw] where it is depthwise."""
    taps = windows(x.astype(np.int64) - zero, weights.shape[2:], strides, pads, dilations, 0)
    equation = "cxij,ncijhw->nchw" if depthwise else "mcij,ncijhw->nmhw"
    return np.einsum(equation, weights.astype(np.int64), taps) + bias.astype(np.int64).reshape(1, -1, 1, 1)


def conv(
    x: np.ndarray, weights: np.ndarray, w_scale: np.ndarray, bias: np.ndarray, grids: tuple[Grid, Grid], **window: Any
) -> Any:
    """Bytes of a convolution from one grid to another."""
    total = conv_sums(x, grids[0].zero, weights, bias, **window)
    return requantise(total, factors(grids[0], w_scale, grids[1]).reshape(1, -1, 1, 1), grids[1].zero)


def gemm(
    x: np.ndarray, weights: np.ndarray, w_scale: np.ndarray, bias: np.ndarray, x_grid: Grid, y: Grid | None
) -> Any:
    """[N, M, 1, 1] bytes from [N, K, 1, 1], or float32 [N, M] without a grid y."""
    total = (x[:, :, 0, 0].astype(np.int64) - x_grid.zero) @ weights.astype(np.int64).T + bias
    if y is None:
        return total.astype(F32) * factors(x_grid, w_scale, None)
    return requantise(total, factors(x_grid, w_scale, y), y.zero)[:, :, None, None]


def fma(a: np.ndarray, b: np.float32, c: np.ndarray) -> np.ndarray:
    """a * b + c rounded once: long double's 64 bits hold these sums, as the scales of the tests are not far apart."""
    wide = np.longdouble
    assert np.finfo(wide).nmant >= 63
    return (a.astype(wide) * wide(b) + np.asarray(c).astype(wide)).astype(F32)


def add(a: np.ndarray, b: np.ndarray, grid_a: Grid, grid_b: Grid, y: Grid) -> np.ndarray:
    """Bytes of a sum."""
    factor_a, factor_b = F32(grid_a.scale) / F32(y.scale), F32(grid_b.scale) / F32(y.scale)
    fixed = F32(y.zero) - fma(np.array(grid_a.zero), factor_a, factor_b * F32(grid_b.zero))
    return saturate(fma(a, factor_a, fma(b, factor_b, fixed)))


def mul(a: np.ndarray, b: np.ndarray, grid_a: Grid, grid_b: Grid, y: Grid) -> np.ndarray:
    """Bytes of a product."""
    product = (a.astype(np.int64) - grid_a.zero) * (b.astype(np.int64) - grid_b.zero)
    scaled = product.astype(F32) * (F32(grid_a.scale) * F32(grid_b.scale) / F32(y.scale))
    return saturate(scaled + F32(y.zero))


def global_average_pool(x: np.ndarray, grid: Grid, y: Grid) -> np.ndarray:
    """Bytes of means, [N, C, 1, 1]."""
    pixels = x.shape[2] * x.shape[3]
    total = (x.astype(np.int64) - grid.zero).sum((2, 3), keepdims=True)
    return requantise(total, F32(grid.scale) / (F32(y.scale) * F32(pixels)), y.zero)


def max_pool(x: np.ndarray, kernel: Any, strides: Any, pads: Any) -> np.ndarray:
    """Bytes of a window's largest."""
    found: np.ndarray = windows(x.astype(np.int32), kernel, strides, pads, (1, 1), -1).max((2, 3)).astype(np.uint8)
    return found
