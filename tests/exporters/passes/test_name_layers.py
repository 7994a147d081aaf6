"""Exporter's counters → the network's own names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

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


@pytest.mark.parametrize(
    ("weight", "layers"),
    [
        ("a.weight", ["a", "a_2"]),
        ("a.kernel", ["a.kernel.conv", "a.kernel.conv_2"]),
        ("relu", ["relu.conv", "relu.conv_2"]),
        ("clip", ["clip.conv", "clip.conv_2"]),
        ("weight", ["conv", "conv_2"]),
        ("a.bias.weight", ["a.bias", "a.bias_2"]),
        ("bound.0", ["bound.0.conv", "bound.0.conv_2"]),
    ],
)
def test_no_two_values_have_one_name_whatever_the_parameters_are_called(
    from_text: Callable, weight: str, layers: list[str]
) -> None:
    arrays = {"w": np.ones((4, 4, 1, 1)), "val_3": np.ones(4), "val_1": np.array(0), "val_2": np.array(0.5)}
    model = from_text(GRAPH, arrays)
    model.graph.initializers["w"].name = weight
    NameLayers()(model)
    assert [node.name for node in model.graph if node.op_type == "Conv"] == layers
    onnx.checker.check_model(to_proto(model), full_check=True)


def test_further_outputs_are_told_from_layers(from_text: Callable) -> None:
    text = """
    main (float[n, 4, 5, 5] input) => (float[n, 4, 5, 5] logits) {
      a, b = Split <axis = 1, num_outputs = 2> (input)
      c = Concat <axis = 1> (a, b)
      logits = Conv (c, w, v)
    }"""
    model = from_text(text, {"w": np.ones((4, 4, 1, 1)), "v": np.ones(4)})
    model.graph.initializers["w"].name = "split.1.weight"
    model.graph.initializers["v"].name = "split.1"
    NameLayers()(model)
    onnx.checker.check_model(to_proto(model), full_check=True)
