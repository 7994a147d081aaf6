"""Scales that the library would refuse: such layers stay standard ONNX, and the rest still becomes one node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from qdq_builder import Codes, Qdq

from exporters import QuantisedDecision, to_sparse_int8
from exporters.ops import DOMAIN

Refused = Callable[[onnx.ModelProto], dict[str, str]]


def rescaled(net: Qdq, codes: Codes, scale: float) -> Codes:
    """The same value, its grid's scale another one in the file."""
    net.constants[codes.grid[0]].CopyFrom(onnx.numpy_helper.from_array(np.float32(scale), codes.grid[0]))
    return codes


@pytest.mark.parametrize(
    ("scale", "words"), [(1e-12, "its input may be too many steps"), (1e-40, "a grid that no int8 op of ours has")]
)
def test_a_layer_whose_output_has_a_tiny_scale_stays(scale: float, words: str, refused: Refused) -> None:
    net = Qdq(np.random.default_rng(1), (6, 7, 7))
    dead = rescaled(net, net.conv(net.conv(net.start(), 8), 8), scale)
    reasons = refused(net.model([dead]))
    assert [reason for reason in reasons.values() if words in reason], reasons


def test_sums_of_grids_that_are_far_apart_stay() -> None:
    net = Qdq(np.random.default_rng(2), (6, 7, 7))
    x = net.conv(net.start(), 8)
    total = rescaled(net, net.op("Add", [x, net.conv(x, 8)], 9 / 255), 1e-9)
    model = net.model([total])
    made = to_sparse_int8(model, lambda _: QuantisedDecision("dense", "asked for"))
    texts = [node.overload for node in made.model.graph.node if node.domain == DOMAIN]
    assert texts
    assert not any("QAdd" in text for text in texts)
