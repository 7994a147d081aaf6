"""Output shapes of operators on images and signals: (N, C, sides…)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from exporters.untrusted.node_view import NodeView, Shape, auto_pad, axes, quantised, window


def _conv(node: NodeView) -> Shape:
    return _convolved(node, node.shape(0), node.shape(1), 2)


def _conv_integer(node: NodeView) -> Shape:
    """X, W and their zero points."""
    source, weight = node.shape(0), node.shape(1)
    quantised(node, (2,), 1)
    quantised(node, (3,), weight[0] if weight else 1)
    return _convolved(node, source, weight, None)


def _qlinear_conv(node: NodeView) -> Shape:
    """X, its scale and zero point, W and its own, those of Y, and the bias."""
    source, weight = node.shape(0), node.shape(3)
    quantised(node, (1, 2, 6, 7), 1)
    quantised(node, (4, 5), weight[0] if weight else 1)
    return _convolved(node, source, weight, 8)


def _convolved(node: NodeView, source: Shape, weight: Shape, bias: int | None) -> Shape:
    group = node.number("group", 1)
    if len(source) != len(weight) or not 3 <= len(source) <= 5:
        raise node.refuse(f"input {source} and weight {weight} are not of one to three sides")
    if group < 1 or source[1] != weight[1] * group or weight[0] % group or not weight[0]:
        raise node.refuse(f"input {source}, weight {weight} and {group} groups do not fit")
    _check_kernel(node, weight, weight[0], bias)
    return (source[0], weight[0], *window(node, source, weight[2:]))


def _check_kernel(node: NodeView, weight: Shape, channels: int, bias: int | None = 2) -> None:
    if "kernel_shape" in node.attributes and tuple(node.attributes["kernel_shape"].ints) != weight[2:]:
        raise node.refuse("kernel_shape is not the weight's")
    if bias is not None and len(node.shapes) > bias and node.shapes[bias] not in (None, (channels,)):
        raise node.refuse("the bias has not one entry a channel")


def _conv_transpose(node: NodeView) -> Shape:
    source, weight = node.shape(0), node.shape(1)
    group, count = node.number("group", 1), len(weight) - 2
    if len(source) != len(weight) or not 1 <= count <= 3 or group < 1 or source[1] != weight[0] or weight[0] % group:
        raise node.refuse(f"input {source}, weight {weight} and {group} groups do not fit")
    channels = weight[1] * group
    _check_kernel(node, weight, channels)
    strides, dilations = node.numbers("strides", count, 1, 1), node.numbers("dilations", count, 1, 1)
    added, pads = node.numbers("output_padding", count, 0, 0), node.numbers("pads", 2 * count, 0, 0)
    auto = auto_pad(node, pads)
    if any(more >= max(stride, dilation) for more, stride, dilation in zip(added, strides, dilations, strict=True)):
        raise node.refuse("output_padding is as large as the stride")
    size = []
    for axis, side in enumerate(source[2:]):
        reach = dilations[axis] * (weight[2 + axis] - 1) + 1
        free = strides[axis] * (side - 1) + added[axis] + reach - pads[axis] - pads[axis + count]
        size.append(side * strides[axis] if auto in (b"SAME_UPPER", b"SAME_LOWER") else free)
    if "output_shape" in node.attributes:
        size = list(node.numbers("output_shape", count, 1, 1))
    if min(size) < 1 or min(weight) < 1:
        raise node.refuse("nothing is left of it")
    return (source[0], channels, *size)


def _pool(node: NodeView) -> list[Shape]:
    source = node.shape(0)
    count = len(source) - 2
    if not 1 <= count <= 3:
        raise node.refuse(f"input {source} is not of one to three sides")
    kernel = node.numbers("kernel_shape", count, 1, 0)
    pads = node.numbers("pads", 2 * count, 0, 0)
    if any(pad >= kernel[index % count] for index, pad in enumerate(pads)):
        raise node.refuse("the padding is as large as the kernel")
    shape = (*source[:2], *window(node, source, kernel))
    return [shape, shape]  # the second one of MaxPool says where the largest were


def _global_pool(node: NodeView) -> Shape:
    source = node.shape(0)
    if len(source) < 3:
        raise node.refuse(f"input {source} has no sides")
    return (*source[:2], *(1 for _ in source[2:]))


def _resize(node: NodeView) -> Shape:
    """Resize by scales or to sizes, of all dimensions or of some."""
    source = node.shape(0)
    older = len(node.shapes) == 2  # operator set 10: X, scales
    rank = len(source)
    chosen = axes(node, rank, len(node.shapes)) or list(range(rank))
    sizes = None if older or len(node.shapes) < 4 or node.shapes[3] is None else node.known(3, "sizes")
    if sizes is not None:
        policy = node.attributes["keep_aspect_ratio_policy"].s if "keep_aspect_ratio_policy" in node.attributes else b""
        if policy not in (b"", b"stretch") or len(sizes) != len(chosen) or min(sizes) < 1:
            raise node.refuse("its sizes are not one positive number a dimension, or not meant as such")
        return _replaced(source, chosen, sizes)
    return _scaled(node, source, chosen, node.floats.get(1 if older else 2))


def _upsample(node: NodeView) -> Shape:
    source = node.shape(0)
    scales = node.attributes["scales"].floats if "scales" in node.attributes else node.floats.get(1)
    return _scaled(node, source, list(range(len(source))), scales)


def _scaled(node: NodeView, source: Shape, chosen: Sequence[int], scales: Sequence[float] | None) -> Shape:
    if scales is None or len(scales) != len(chosen) or not all(0 < scale < 2**15 for scale in scales):
        raise node.refuse("its scales are not one constant positive number a dimension")
    return _replaced(source, chosen, [math.floor(source[axis] * by) for axis, by in zip(chosen, scales, strict=True)])


def _replaced(source: Shape, chosen: Sequence[int], sizes: Sequence[int]) -> Shape:
    new = dict(zip(chosen, sizes, strict=True))
    return tuple(new.get(axis, size) for axis, size in enumerate(source))


def _pad(node: NodeView) -> Shape:
    source = node.shape(0)
    chosen = axes(node, len(source), 3) or list(range(len(source)))
    pads = node.attributes["pads"].ints if "pads" in node.attributes else node.known(1, "pads")
    mode = node.attributes["mode"].s if "mode" in node.attributes else b"constant"
    if mode not in (b"constant", b"reflect", b"edge", b"wrap") or len(pads) != 2 * len(chosen):
        raise node.refuse("its mode is unknown, or the pads are not two a dimension")
    out = list(source)
    for index, axis in enumerate(chosen):
        for pad in (pads[index], pads[index + len(chosen)]):
            if abs(pad) > 2**31 or (mode in (b"reflect", b"wrap") and pad >= max(source[axis], 1)):
                raise node.refuse("a pad is larger than what it reflects")
            out[axis] += pad
        if out[axis] < 0 or -min(0, pads[index]) > source[axis]:
            raise node.refuse("more is cut off than there is")
    return tuple(out)


def _depth_to_space(node: NodeView) -> Shape:
    n, c, h, w = node.shape(0, 4)
    block = node.number("blocksize", 0)
    if not 1 <= block <= 2**10 or c % (block * block):
        raise node.refuse("its channels do not divide into blocks")
    return n, c // (block * block), h * block, w * block


def _space_to_depth(node: NodeView) -> Shape:
    n, c, h, w = node.shape(0, 4)
    block = node.number("blocksize", 0)
    if not 1 <= block <= 2**10 or h % block or w % block:
        raise node.refuse("its sides do not divide into blocks")
    return n, c * block * block, h // block, w // block


def _grid_sample(node: NodeView) -> Shape:
    source, grid = node.shape(0, 4), node.shape(1, 4)
    if grid[0] != source[0] or grid[3] != 2:
        raise node.refuse(f"input {source} and grid {grid} do not fit")
    return (*source[:2], *grid[1:3])


SPATIAL: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {
    "AveragePool": _pool,
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "GlobalAveragePool": _global_pool,
    "GlobalLpPool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "GridSample": _grid_sample,
    "LpPool": _pool,
    "MaxPool": _pool,
    "Pad": _pad,
    "QLinearConv": _qlinear_conv,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
    "Upsample": _upsample,
}
