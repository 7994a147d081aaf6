"""Nodes of constants → initializers."""

from __future__ import annotations

from collections.abc import Callable

from exporters.passes import FoldConstants


def test_bounds_become_initializers(from_text: Callable) -> None:
    text = """
    main (float[n, 4] x) => (float[n, 4] y) {
      low = Constant <value_float = 0.0> ()
      high = Constant <value_float = 6.0> ()
      low_cast = CastLike (low, x)
      high_cast = CastLike (high, x)
      same = Identity (x)
      unused = Relu (same)
      y = Clip (same, low_cast, high_cast)
    }"""
    result = FoldConstants()(from_text(text, {}))
    assert result.modified
    (node,) = result.model.graph
    assert node.op_type == "Clip"
    assert [float(value.const_value.numpy()) for value in node.inputs[1:]] == [0, 6]
    assert all(value.is_initializer() for value in node.inputs[1:])


def test_nothing_to_fold(from_text: Callable) -> None:
    result = FoldConstants()(from_text("main (float[n, 4] x) => (float[n, 4] y) { y = Relu (x) }", {}))
    assert not result.modified
