"""Output shapes of spectra, of columns put back into images, and of sampling at computed places."""

from __future__ import annotations

import math
from collections.abc import Callable

from exporters.untrusted.node_view import NodeView, Shape, axes, window

_LARGEST = 2**40


def _number(node: NodeView, index: int, what: str, least: int = 1) -> int:
    """A constant input that is one number."""
    entries = node.known(index, what)
    if len(entries) != 1 or not least <= entries[0] < _LARGEST:
        raise node.refuse(f"its {what} is not one number of at least {least}")
    return entries[0]


def _is_given(node: NodeView, index: int) -> bool:
    return index < len(node.shapes) and node.shapes[index] is not None


def _dft(node: NodeView) -> Shape:
    """A transform along one axis of (batch, …, 1 or 2); complex numbers are the last axis."""
    source = node.shape(0)
    if len(source) < 2 or source[-1] not in (1, 2):
        raise node.refuse("its last dimension is not 1 or 2")
    if "axis" in node.attributes:  # operator set 17
        axis = node.axis(node.number("axis", 1), len(source))
    elif _is_given(node, 2):
        listed = node.known(2, "axis")
        axis = node.axis(listed[0] if len(listed) == 1 else len(source), len(source))
    else:
        axis = node.axis(-2 if node.opset >= 20 else 1, len(source))
    if axis == len(source) - 1:
        raise node.refuse("it is along the axis of complex numbers")
    length = _number(node, 1, "length") if _is_given(node, 1) else source[axis]
    one_sided, inverse = node.number("onesided", 0), node.number("inverse", 0)
    bins = length // 2 + 1 if one_sided and not inverse else length
    return (*source[:axis], bins, *source[axis + 1 : -1], 1 if one_sided and inverse else 2)


def _stft(node: NodeView) -> Shape:
    source = node.shape(0)
    if len(source) not in (2, 3) or source[2:] not in ((), (1,), (2,)):
        raise node.refuse(f"{source} is no signal")
    step = _number(node, 1, "step")
    frame = node.shape(2, 1)[0] if _is_given(node, 2) else 0
    if _is_given(node, 3):
        length = _number(node, 3, "frame length")
        if frame not in (0, length):
            raise node.refuse("its window is not as long as a frame")
        frame = length
    if not 1 <= frame <= source[1]:
        raise node.refuse("a frame is longer than the signal, or has no length")
    bins = frame // 2 + 1 if node.number("onesided", 1) else frame
    return source[0], (source[1] - frame) // step + 1, bins, 2


def _mel_weights(node: NodeView) -> Shape:
    return _number(node, 1, "length", 0) // 2 + 1, _number(node, 0, "number of bins", 0)


def _col2im(node: NodeView) -> Shape:
    """Columns (N, C × block, places) as an image (N, C, sides…)."""
    source, image, block = node.shape(0, 3), node.known(1, "sides"), node.known(2, "block")
    count, size = len(image), math.prod(block)
    strides, dilations = node.numbers("strides", count, 1, 1), node.numbers("dilations", count, 1, 1)
    pads = node.numbers("pads", 2 * count, 0, 0)
    if not count or len(block) != count or not all(0 < side < _LARGEST for side in (*image, *block)):
        raise node.refuse("its sides and its block do not fit")
    places = 1
    for axis in range(count):
        span = image[axis] + pads[axis] + pads[axis + count] - dilations[axis] * (block[axis] - 1) - 1
        places *= span // strides[axis] + 1 if span >= 0 else 0
    if source[1] % size or places != source[2]:
        raise node.refuse(f"columns {source} are not of such an image")
    return (source[0], source[1] // size, *image)


def _affine_grid(node: NodeView) -> Shape:
    theta, size = node.shape(0, 3), node.known(1, "size")
    sides = len(size) - 2
    if sides not in (2, 3) or theta != (size[0], sides, sides + 1) or not all(0 < side < _LARGEST for side in size):
        raise node.refuse(f"matrices {theta} and size {list(size)} do not fit")
    return (size[0], *size[2:], sides)


def _center_crop_pad(node: NodeView) -> Shape:
    source, sizes = node.shape(0), node.known(1, "sizes")
    chosen = axes(node, len(source), len(node.shapes)) or list(range(len(source)))
    if len(sizes) != len(chosen) or not all(0 <= size < _LARGEST for size in sizes):
        raise node.refuse("its sizes are not one a dimension")
    new = dict(zip(chosen, sizes, strict=True))
    return tuple(new.get(axis, size) for axis, size in enumerate(source))


def deform_columns(node: NodeView) -> Shape:
    """The unfolded input, which a runtime makes for each image."""
    weight, out = node.shape(1, 4), _deform_conv(node)
    return node.shape(0)[1], *weight[2:], *out[2:]


def _deform_conv(node: NodeView) -> Shape:
    source, weight, offset = node.shape(0, 4), node.shape(1, 4), node.shape(2, 4)
    group, groups = node.number("group", 1), node.number("offset_group", 1)
    if group < 1 or source[1] != weight[1] * group or not weight[0] or weight[0] % group:
        raise node.refuse(f"input {source}, weight {weight} and {group} groups do not fit")
    if "kernel_shape" in node.attributes and tuple(node.attributes["kernel_shape"].ints) != weight[2:]:
        raise node.refuse("kernel_shape is not the weight's")
    sides = window(node, source, weight[2:])
    places = groups * math.prod(weight[2:])
    if groups < 1 or source[1] % groups or offset != (source[0], 2 * places, *sides):
        raise node.refuse(f"offsets {offset} are not two for each weight and place")
    if _is_given(node, 3) and node.shape(3) != (weight[0],):
        raise node.refuse("the bias has not one entry a channel")
    if _is_given(node, 4) and node.shape(4) != (source[0], places, *sides):
        raise node.refuse("the mask is not one number for each weight and place")
    return (source[0], weight[0], *sides)


def _max_unpool(node: NodeView) -> Shape:
    source = node.shape(0)
    count = len(source) - 2
    if not 1 <= count <= 3 or node.shape(1) != source:
        raise node.refuse("its places are not one an entry")
    kernel, strides = node.numbers("kernel_shape", count, 1, 0), node.numbers("strides", count, 1, 1)
    pads = node.numbers("pads", 2 * count, 0, 0)
    least = [
        (side - 1) * strides[axis] + kernel[axis] - pads[axis] - pads[axis + count]
        for axis, side in enumerate(source[2:])
    ]
    if _is_given(node, 2):
        sizes = tuple(node.known(2, "sizes"))
        if len(sizes) != len(source) or sizes[:2] != source[:2] or not all(0 < size < _LARGEST for size in sizes):
            raise node.refuse("its sizes are not one a dimension")
        return sizes
    if min(least) < 1:
        raise node.refuse("nothing is left of it")
    return (*source[:2], *least)


def _max_roi_pool(node: NodeView) -> Shape:
    source, boxes, sides = node.shape(0, 4), node.shape(1, 2), node.numbers("pooled_shape", 2, 1, 0)
    if boxes[1] != 5:
        raise node.refuse("its boxes are not of five numbers")
    return boxes[0], source[1], *sides


SIGNALS: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {
    "AffineGrid": _affine_grid,
    "CenterCropPad": _center_crop_pad,
    "Col2Im": _col2im,
    "DFT": _dft,
    "DeformConv": _deform_conv,
    "MaxRoiPool": _max_roi_pool,
    "MaxUnpool": _max_unpool,
    "MelWeightMatrix": _mel_weights,
    "STFT": _stft,
}
