"""Shapes of attention, carried states and gates are those that ONNX's reference makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper
from shape_rules import bounds, made

from exporters.errors import MalformedModelError, TooLargeError

RNG = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


QUERY, KEY, TABLE = floats(2, 4, 5, 8), floats(2, 4, 7, 8), floats(2, 5, 4)
PACKED, HEADS = floats(2, 5, 32), {"q_num_heads": 4, "kv_num_heads": 4}
GROUPED = {"q_num_heads": 4, "kv_num_heads": 2, "update_rule": "linear"}
SOUND: list[tuple[str, list[Any], dict[str, Any], int, int]] = [
    ("Attention", [QUERY, KEY, KEY], {}, 1, 24),
    ("Attention", [QUERY, KEY[:, :2], floats(2, 2, 7, 3)], {}, 1, 24),
    ("Attention", [QUERY, KEY, KEY, None, floats(2, 4, 3, 8), floats(2, 4, 3, 8)], {}, 3, 24),
    ("Attention", [PACKED, floats(2, 7, 32), floats(2, 7, 32)], HEADS, 1, 24),
    ("CausalConvWithState", [floats(2, 3, 9), floats(3, 1, 4), floats(3)], {}, 2, 27),
    ("CausalConvWithState", [floats(2, 3, 1), floats(3, 1, 4), None, floats(2, 3, 3)], {}, 2, 27),
    (
        "LinearAttention",
        [floats(2, 5, 24), floats(2, 5, 12), floats(2, 5, 6)],
        GROUPED,
        2,
        27,
    ),
    ("RotaryEmbedding", [QUERY, TABLE, TABLE], {}, 1, 24),
    ("RotaryEmbedding", [PACKED, TABLE, TABLE], {"num_heads": 4}, 1, 24),
    (
        "RotaryEmbedding",
        [QUERY, floats(9, 2), floats(9, 2), np.ones((2, 5), np.int64)],
        {"rotary_embedding_dim": 4},
        1,
        24,
    ),
    ("SwiGLU", [QUERY, QUERY], {}, 1, 28),
    ("TensorScatter", [KEY, QUERY, np.zeros(2, np.int64)], {}, 1, 24),
]
WRONG: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Attention", [QUERY, KEY[:, :3], KEY], {}),
    ("Attention", [QUERY, KEY[:, :3], KEY[:, :3]], {}),
    ("Attention", [PACKED, PACKED, PACKED], {"q_num_heads": 5, "kv_num_heads": 4}),
    ("Attention", [QUERY, KEY, KEY, None, floats(2, 4, 3, 8)], {}),
    ("Attention", [QUERY, KEY, KEY, floats(9, 5, 7)], {}),
    ("CausalConvWithState", [floats(2, 3, 9), floats(4, 1, 4)], {}),
    ("CausalConvWithState", [floats(2, 3, 9), floats(3, 1, 4), None, floats(2, 3, 4)], {}),
    ("LinearAttention", [PACKED, floats(2, 7, 32), PACKED], HEADS),
    ("LinearAttention", [PACKED] * 3, {"q_num_heads": 4, "kv_num_heads": 0}),
    ("RotaryEmbedding", [QUERY, TABLE, floats(2, 5, 3)], {}),
    ("RotaryEmbedding", [PACKED, TABLE, TABLE], {}),
    ("RotaryEmbedding", [QUERY, TABLE[:1], TABLE[:1]], {}),
    ("SwiGLU", [QUERY, KEY], {}),
    ("TensorScatter", [QUERY, KEY], {}),
    ("TensorScatter", [KEY, QUERY], {"axis": 0}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "outputs", "opset"), SOUND)
def test_sizes_are_exact(op: str, inputs: list[Any], attributes: dict[str, Any], outputs: int, opset: int) -> None:
    found = bounds(op, inputs, attributes, outputs, opset)[:outputs]
    assert found == made(op, inputs, attributes, outputs, opset)


@pytest.mark.parametrize(("op", "inputs", "attributes"), WRONG)
def test_contradictions_are_refused(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    with pytest.raises(MalformedModelError, match="has no shape"):
        bounds(op, inputs, attributes)


def test_the_scores_of_attention_count(refuse: Callable, graph_model: Callable) -> None:
    """The output is a few megabytes, what is made for it is 64 GiB."""
    node = helper.make_node("Attention", ["a", "a", "a"], ["y"])
    model = graph_model([node], {"a": np.ones((1, 1, 2**17, 2), np.float32)})
    model.opset_import[0].version = 24
    assert "bytes of memory" in refuse(model, TooLargeError)
