"""The arithmetic of QSequence in plain integers, one operation a line: what every form of a file is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
f32 = np.float32


def sequence(text: str, constants: Mapping[str, Array], attributes: Mapping[str, Any], x: Array) -> list[Array]:
    """What each stage makes, X first; constants and attributes by their names in the node."""
    values: list[Array] = [x]
    grids: list[tuple[np.float32, int]] = [(f32(1), 0)]
    for index, word in enumerate(text.split(" ")):
        op, read = word.split(":")
        first, *second = (int(value) for value in read.split("+"))
        end = f"_{index}"
        own = {key.removesuffix(end): value for key, value in constants.items() if key.endswith(end)}
        geometry = {key.removesuffix(end): value for key, value in attributes.items() if key.endswith(end)}
        source, grid = values[first], grids[first]
        target = (f32(own["y_scale"]), int(own["y_zero"])) if "y_scale" in own else grid
        if op == "Quantize":
            made = _saturate(np.rint(source / target[0]).astype(np.int64) + target[1])
        elif op == "Dequantize":
            made = (source.astype(np.int64) - grid[1]).astype(f32) * grid[0]
        elif op in ("QAdd", "QMul"):
            made = (_add if op == "QAdd" else _mul)(source, grid, values[second[0]], grids[second[0]], target)
        elif op == "QGlobalAveragePool":
            made = _pool(source, grid, target)
        elif op == "QMaxPool":
            made = _max_pool(source, geometry)
        elif op == "QTable":
            made = own["table"][source]
        else:
            made = _product(op, source, grid, own, geometry, target)
        values.append(made)
        grids.append(target)
    return values


def _saturate(codes: Array) -> Array:
    return np.clip(codes, 0, 255).astype(np.uint8)


def _product(
    op: str, x: Array, grid: tuple[Any, int], own: Mapping[str, Array], geometry: Mapping[str, Any], target: Any
) -> Array:
    weight = own["W"] if "W" in own else _dense(own)
    scale, bias = own["w_scale"].astype(f32), own["bias"].astype(np.int64)
    codes = x.astype(np.int64) - grid[1]
    if "Gemm" in op:
        sums = codes.reshape(len(x), -1) @ weight.astype(np.int64).T + bias
        if op.endswith("Float"):
            return sums.astype(f32) * (grid[0] * scale)
        made = _saturate(np.rint(sums.astype(f32) * (grid[0] * scale / target[0])).astype(np.int64) + target[1])
        return made[:, :, None, None]
    sums = _convolve(codes, weight.astype(np.int64), geometry, op == "QDepthwiseConv") + bias[:, None, None]
    return _saturate(
        np.rint(sums.astype(f32) * (grid[0] * scale / target[0])[:, None, None]).astype(np.int64) + target[1]
    )


def _dense(own: Mapping[str, Array]) -> Array:
    shape = tuple(int(side) for side in own["weight_shape"])
    outputs, channels, *window = (*shape, 1, 1)[:4]
    dense = np.zeros((outputs + 1, channels + 3, *window), np.int64)
    height = own["values"].shape[1] if own["values"].ndim == 3 else 1
    for row in range(len(own["row_ptr"]) - 1):
        for at in range(int(own["row_ptr"][row]), int(own["row_ptr"][row + 1])):
            group, rest = divmod(int(own["col_idx"][at]), window[0] * window[1])
            i, j = divmod(rest, window[1])
            for output in range(height):
                block = own["values"][at].reshape(height, 4)[output]
                dense[row * height + output, 4 * group : 4 * group + 4, i, j] = block
    return dense[:outputs, :channels].reshape(shape)


def _convolve(codes: Array, weight: Array, geometry: Mapping[str, Any], depthwise: bool) -> Array:
    top, left, bottom, right = geometry["pads"]
    codes = np.pad(codes, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (down, across), (dy, dx) = geometry["strides"], geometry["dilations"]
    kh, kw = weight.shape[2:]
    height = (codes.shape[2] - (kh - 1) * dy - 1) // down + 1
    width = (codes.shape[3] - (kw - 1) * dx - 1) // across + 1
    sums = np.zeros((len(codes), len(weight), height, width), np.int64)
    for i in range(kh):
        for j in range(kw):
            seen = codes[:, :, i * dy : i * dy + down * (height - 1) + 1 : down]
            seen = seen[:, :, :, j * dx : j * dx + across * (width - 1) + 1 : across]
            if depthwise:
                sums += seen * weight[:, 0, i, j][:, None, None]
            else:
                sums += np.einsum("mc,nchw->nmhw", weight[:, :, i, j], seen)
    return sums


def _add(a: Array, one: Any, b: Array, two: Any, target: Any) -> Array:
    """Sums with fused multiply-adds in ONNX Runtime's order; a product of float32 is exact in float64."""
    ra, rb = f32(one[0] / target[0]), f32(two[0] / target[0])
    zeros = f32(np.float64(ra) * one[1] + np.float64(f32(rb * f32(two[1]))))
    inner = (b.astype(np.float64) * rb + np.float64(f32(f32(target[1]) - zeros))).astype(f32)
    return _saturate(np.rint((a.astype(np.float64) * ra + inner).astype(f32)).astype(np.int64))


def _mul(a: Array, one: Any, b: Array, two: Any, target: Any) -> Array:
    product = (a.astype(np.int64) - one[1]) * (b.astype(np.int64) - two[1])
    scaled = product.astype(f32) * f32(f32(one[0] * two[0]) / target[0])
    return _saturate(np.rint(scaled + f32(target[1])).astype(np.int64))


def _pool(x: Array, grid: Any, target: Any) -> Array:
    pixels = x.shape[2] * x.shape[3]
    sums = x.astype(np.int64).sum(axis=(2, 3), keepdims=True) - pixels * grid[1]
    scale = f32(grid[0] / f32(target[0] * f32(pixels)))
    return _saturate(np.rint(sums.astype(f32) * scale).astype(np.int64) + target[1])


def _max_pool(x: Array, geometry: Mapping[str, Any]) -> Array:
    top, left, bottom, right = geometry["pads"]
    (kh, kw), (down, across) = geometry["kernel_shape"], geometry["strides"]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = (x.shape[2] - kh) // down + 1, (x.shape[3] - kw) // across + 1
    made = np.zeros((*x.shape[:2], height, width), np.uint8)
    for i in range(kh):
        for j in range(kw):
            seen = x[:, :, i : i + down * (height - 1) + 1 : down, j : j + across * (width - 1) + 1 : across]
            made = np.maximum(made, seen)
    return made
