"""Output shapes of operators that choose, count, draw and transform: for a data-dependent size, its upper bound."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from exporters.untrusted.node_view import NodeView, Shape, broadcast

_LARGEST = 2**40
_BOXES_A_CLASS = 2**16
"""Boxes of a class that a NonMaxSuppression keeps at most where its limit is no constant."""


def _same(node: NodeView) -> Shape:
    return node.shape(0)


def _pair(node: NodeView) -> Shape:
    return broadcast(node, node.shape(0), node.shape(1))


def _non_zero(node: NodeView) -> Shape:
    shape = node.shape(0)
    return len(shape), math.prod(shape)


def _compress(node: NodeView) -> Shape:
    shape = node.shape(0)
    node.shape(1, 1)
    if "axis" not in node.attributes:
        return (math.prod(shape),)
    node.axis(node.number("axis", 0), len(shape))
    return shape


def _unique(node: NodeView) -> list[Shape]:
    shape = node.shape(0)
    count = math.prod(shape)
    if "axis" in node.attributes:
        axis = node.axis(node.number("axis", 0), len(shape))
        return [shape, (shape[axis],), (shape[axis],), (shape[axis],)]
    return [(count,)] * 4


def _non_max_suppression(node: NodeView) -> Shape:
    boxes, scores = node.shape(0, 3), node.shape(1, 3)
    if boxes[0] != scores[0] or boxes[1] != scores[2] or boxes[2] != 4:
        raise node.refuse(f"boxes {boxes} and scores {scores} do not fit")
    limit = node.constants.get(2, (_BOXES_A_CLASS,)) if len(node.shapes) > 2 and node.shapes[2] is not None else (0,)
    if len(limit) != 1 or limit[0] < 0:
        raise node.refuse("its limit is not one number")
    return scores[0] * scores[1] * min(limit[0], boxes[1]), 3


def _one_hot(node: NodeView) -> Shape:
    shape, depth = node.shape(0), node.known(1, "depth")
    if len(depth) != 1 or not 0 < depth[0] < _LARGEST or node.shape(2) != (2,):
        raise node.refuse("its depth is no positive number, or its values are not two")
    axis = node.axis(node.number("axis", -1), len(shape) + 1)
    return (*shape[:axis], depth[0], *shape[axis:])


def _einsum(node: NodeView) -> Shape:
    text = node.attributes["equation"].s.decode("ascii", "replace").replace(" ", "") if node.attributes else ""
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not re.fullmatch(r"[A-Za-z]*", right) or not all(re.fullmatch("[A-Za-z]*", term) for term in terms):
        raise node.refuse("its equation is not of letters alone")
    if not arrow or len(terms) != len(node.shapes) or len(terms) > 2:  # of more, runtimes make products in between
        raise node.refuse("its equation has no result, other terms than there are inputs, or more than two")
    sizes: dict[str, int] = {}
    for index, term in enumerate(terms):
        for letter, size in zip(term, node.shape(index, len(term)), strict=True):
            if sizes.setdefault(letter, size) != size:
                raise node.refuse(f"{letter} has two sizes")
    if len(set(right)) != len(right) or any(letter not in sizes for letter in right):
        raise node.refuse("its result holds a letter twice, or one that no term has")
    return tuple(sizes[letter] for letter in right)


def _loss(node: NodeView) -> list[Shape]:
    """A loss of scores (batch, classes, …) and labels (batch, …): one number, or one a label."""
    scores, labels = node.shape(0), node.shape(1)
    if len(scores) < 2 or labels != (scores[0], *scores[2:]):
        raise node.refuse(f"scores {scores} and labels {labels} do not fit")
    if len(node.shapes) > 2 and node.shapes[2] not in (None, scores[1:2]):
        raise node.refuse("its weights are not one a class")
    whole = "reduction" in node.attributes and node.attributes["reduction"].s == b"none"
    return [labels if whole else (), scores]


def _window(node: NodeView) -> Shape:
    size = node.known(0, "size")
    if len(size) != 1 or not 0 <= size[0] < _LARGEST:
        raise node.refuse("its size is no size")
    return (size[0],)


def _det(node: NodeView) -> Shape:
    shape = node.shape(0)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise node.refuse("it is not of square matrices")
    return shape[:-2]


def _eye_like(node: NodeView) -> Shape:
    return node.shape(0, 2)


def _reverse_sequence(node: NodeView) -> Shape:
    shape = node.shape(0)
    batch = node.axis(node.number("batch_axis", 1), len(shape))
    if len(shape) < 2 or node.shape(1) != (shape[batch],):
        raise node.refuse("its lengths are not one a sample")
    return shape


def _roi_align(node: NodeView) -> Shape:
    source, boxes = node.shape(0, 4), node.shape(1, 2)
    height, width = node.number("output_height", 1), node.number("output_width", 1)
    if boxes[1] != 4 or node.shape(2) != boxes[:1] or not (0 < height < _LARGEST and 0 < width < _LARGEST):
        raise node.refuse("its boxes or its sizes do not fit")
    if not 0 <= node.number("sampling_ratio", 0) <= 2**10:
        raise node.refuse("its sampling ratio is too large")
    return boxes[0], source[1], height, width


def _random(node: NodeView) -> Shape:
    shape = node.attributes["shape"].ints if "shape" in node.attributes else ()
    if "shape" not in node.attributes or not all(0 <= size < _LARGEST for size in shape):
        raise node.refuse("it states no shape")
    return tuple(shape)


def _multinomial(node: NodeView) -> Shape:
    count = node.number("sample_size", 1)
    if not 0 < count < _LARGEST:
        raise node.refuse("its number of samples is no size")
    return node.shape(0, 2)[0], count


_LIKE = ("Bernoulli", "BitCast", "CumProd", "RandomNormalLike", "RandomUniformLike")
CHOOSE: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {
    **dict.fromkeys(_LIKE, _same),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), _window),
    **dict.fromkeys(("RandomNormal", "RandomUniform"), _random),
    **dict.fromkeys(("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"), _loss),
    "BitShift": _pair,
    "Compress": _compress,
    "Det": _det,
    "Einsum": _einsum,
    "EyeLike": _eye_like,
    "Multinomial": _multinomial,
    "NonMaxSuppression": _non_max_suppression,
    "NonZero": _non_zero,
    "OneHot": _one_hot,
    "ReverseSequence": _reverse_sequence,
    "RoiAlign": _roi_align,
    "Unique": _unique,
}
