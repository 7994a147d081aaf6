"""Exporter's counters → the network's own names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from exporters.passes import NameLayers
from exporters.serialize import to_proto

GRAPH = """
main (float[n, 4, 5, 5] input) => (float[n, 4, 5, 5] logits) {
  relu = Conv (input, w, val_3)
  val_9 = Clip (relu, val_1, val_2)
  add = Conv (val_9, w, val_3)
  val_7 = Clip (add, val_1, val_2)
  logits = Add (val_7, val_9)
}
"""


def test_names(from_text: Callable) -> None:
    arrays = {"w": np.ones((4, 4, 1, 1)), "val_3": np.ones(4), "val_1": np.array(0), "val_2": np.array(0.5)}
    model = from_text(GRAPH, arrays)
    model.graph.initializers["w"].name = "a.weight"
    assert NameLayers()(model).modified
    assert [node.name for node in model.graph] == ["a", "clip", "a_2", "clip_2", "add"]
    assert [node.outputs[0].name for node in model.graph] == ["a", "clip", "a_2", "clip_2", "logits"]
    assert set(model.graph.initializers) == {"a.weight", "a.bias", "bound.0", "bound.0.5"}
    onnx.checker.check_model(to_proto(model), full_check=True)
