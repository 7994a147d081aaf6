"""Integer forward pass in plain numpy: what every fast form has to equal to the bit.

Sums in int64, requantising in float32, one operation a line. Slow: for tests and small networks.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from chita_edge.quantization.arithmetic import average_factor, function_table
from chita_edge.quantization.graph import REAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.graph import Clip, Layer, Pair, Step
    from chita_edge.quantization.grid import Grid
    from chita_edge.quantization.network import QuantisedLayer, QuantisedNetwork

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
_F = np.float32


def integer_forward(network: QuantisedNetwork, images: Batch) -> dict[str, NDArray[Any]]:
    """The output of every step: uint8 codes, float32 of steps without a grid."""
    values: dict[str, NDArray[Any]] = {}
    for step in network.graph.steps:
        if step.op == "input":
            real = step.taken(images).numpy().astype(_F)
            values[step.name] = _quantise(real[:, :, None] if step.series else real, network.grids[step.name])
        elif step.op in REAL:
            values[step.name] = _real(step, values, network.grids, images)
        elif step.op == "quantise":
            real = step.reshaped(torch.from_numpy(values[step.inputs[0]])).numpy()
            values[step.name] = _quantise(real, network.grids[step.name])
        elif step.op == "layer":
            values[step.name] = _layer(step, values[step.inputs[0]], network)
        else:
            values[step.name] = _other(step, [values[name] for name in step.inputs], network.grids)
    return values


def _real(step: Step, values: Mapping[str, NDArray[Any]], grids: Mapping[str, Grid], images: Batch) -> NDArray[Any]:
    """What torch makes of real numbers, in float32, or an input as it comes."""
    read = [
        (values[name].astype(_F) - _F(grids[name].zero)) * _F(grids[name].scale) if name in grids else values[name]
        for name in step.inputs
    ]
    with torch.inference_mode():
        return np.asarray(step(*map(torch.from_numpy, read or [step.taken(images).numpy()])).numpy())


def _quantise(values: Floats, grid: Grid) -> Codes:
    return _saturate(np.rint(values / _F(grid.scale)).astype(np.int64) + grid.zero)


def _saturate(values: Integers, low: int = 0, high: int = 255) -> Codes:
    return np.clip(values, low, high).astype(np.uint8)


def _bounds(clip: Clip, grid: Grid) -> Pair:
    """Codes of an activation's bounds."""
    low, high = (int(np.clip(np.rint(b / grid.scale) + grid.zero, 0, 255)) for b in (clip.low, clip.high))
    return low, high


def _layer(step: Step, codes: Codes, network: QuantisedNetwork) -> NDArray[Any]:
    layer, grid, out = network.layers[step.name], network.input_grid(step.name), network.grids.get(step.name)
    sums = _sums(step.weights, layer, codes.astype(np.int64) - grid.zero)
    shape = (-1, *[1] * (sums.ndim - 2))
    scale = layer.scale.numpy()
    if out is None:
        real = sums.astype(_F) * (scale * _F(grid.scale)).reshape(shape)
        return np.asarray(np.clip(real, _F(step.clip.low), _F(step.clip.high)))
    factor = (_F(grid.scale) * scale) / _F(out.scale)
    scaled = sums.astype(_F) * factor.reshape(shape)
    return _saturate(np.rint(scaled).astype(np.int64) + out.zero, *_bounds(step.clip, out))


def _sums(geometry: Layer, layer: QuantisedLayer, x: Integers) -> Integers:
    """Acc = Σ q_w (q_x − z_x) + b, int64."""
    weight, bias = layer.weight.numpy().astype(np.int64), layer.bias.numpy().astype(np.int64)
    if not geometry.is_convolution:
        return np.asarray(x @ weight.T + bias)
    (above, left, below, right), (step_down, step_right) = geometry.pads, geometry.stride
    x = np.pad(x, ((0, 0), (0, 0), (above, below), (left, right)))
    outputs, channels, rows, columns = weight.shape
    height = (x.shape[2] - geometry.dilation[0] * (rows - 1) - 1) // step_down + 1
    width = (x.shape[3] - geometry.dilation[1] * (columns - 1) - 1) // step_right + 1
    sums = np.zeros((len(x), outputs, height, width), np.int64)
    share = outputs // geometry.groups
    for output, channel, row, column in product(range(outputs), range(channels), range(rows), range(columns)):
        top, first = row * geometry.dilation[0], column * geometry.dilation[1]
        plane = x[:, output // share * channels + channel]
        seen = plane[:, top : top + step_down * height : step_down, first : first + step_right * width : step_right]
        sums[:, output] += weight[output, channel, row, column] * seen[:, :height, :width]
    return sums + bias[:, None, None]


def _other(step: Step, inputs: list[Codes], grids: Mapping[str, Grid]) -> Codes:
    out, known = grids[step.name], [grids[name] for name in step.inputs]
    first = inputs[0]
    if step.op == "add":
        ratios = [_F(grid.scale) / _F(out.scale) for grid in known]
        zeros = [_F(grid.zero) for grid in known]
        fix = _F(out.zero) - _fused(zeros[0], ratios[0], ratios[1] * zeros[1])
        inner = _fused(inputs[1], ratios[1], fix)
        return _saturate(np.rint(_fused(first, ratios[0], inner)).astype(np.int64), *_bounds(step.clip, out))
    if step.op == "multiply":
        factor = (_F(known[0].scale) * _F(known[1].scale)) / _F(out.scale)
        product = (first.astype(np.int64) - known[0].zero) * (inputs[1].astype(np.int64) - known[1].zero)
        return _saturate(np.rint(_fused(product, factor, _F(out.zero))).astype(np.int64))
    if step.op == "concat":
        return np.concatenate([_regrid(part, grid, out) for part, grid in zip(inputs, known, strict=True)], 1)
    if step.op == "average_pool":
        windows = _windows(step, first.astype(np.int64) - known[0].zero, 0)
        factor = average_factor(step.window, (1, windows.shape[-1]), known[0], out)
        return _saturate(np.rint(windows.sum(-1).astype(_F) * factor).astype(np.int64) + out.zero)
    if step.op == "max_pool":
        return np.asarray(_windows(step, first.astype(np.int64), -1).max(-1), np.uint8)
    if step.op == "table":
        return np.asarray(function_table(step.looked_up, known[0], out).numpy()[first], np.uint8)
    return first[:, :, 0] if step.op == "series" else first.reshape(len(first), -1)


def _fused(values: Any, factor: np.float32, addend: Any) -> Floats:
    """Values · factor + addend, rounded once to float32."""
    exact = np.asarray(values, np.float64) * np.float64(factor) + np.asarray(addend, np.float64)
    return np.asarray(exact, _F)


def _regrid(codes: Codes, grid: Grid, out: Grid) -> Codes:
    if grid == out:
        return codes
    real = (codes.astype(np.int64) - grid.zero).astype(_F) * _F(grid.scale)
    return _quantise(real, out)


def _windows(step: Step, x: Integers, padding: int) -> Integers:
    """The values of each pooling window, (batch, channels, height, width, values)."""
    pool = step.window
    kernel = (x.shape[2], x.shape[3]) if pool.kernel is None else pool.kernel
    (down, right), (step_down, step_right) = pool.padding, pool.stride
    x = np.pad(x, ((0, 0), (0, 0), (down, down), (right, right)), constant_values=padding)
    views = np.lib.stride_tricks.sliding_window_view(x, kernel, (2, 3))[:, :, ::step_down, ::step_right]
    return np.asarray(views.reshape(*views.shape[:4], -1))
