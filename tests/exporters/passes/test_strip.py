"""Exporter's traces → nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporters.passes import Strip
from exporters.serialize import to_proto


def test_nothing_but_what_runtimes_read_is_left(from_text: Callable) -> None:
    text = """
    main (float[n, 4, 5, 5] x) => (float[n, 4, 5, 5] y) {
      c = Conv <auto_pad = "NOTSET", group = 1, strides = [1, 1]> (x, w)
      d = Clip (c, a, b)
      y = Clip (d, a2, b)
    }"""
    constants = {"a": np.array(0), "a2": np.array(0), "b": np.array(6)}
    model = from_text(text, {"w": np.ones((4, 4, 1, 1)), **constants})
    model.producer_name, model.producer_version, model.doc_string = "another", "1", "made by"
    model.metadata_props["path"] = "/home/me"
    for node in model.graph:
        node.metadata_props["stack"] = "trace"
        node.outputs[0].metadata_props["source"] = "trace"
    assert Strip()(model).modified
    proto = to_proto(model)
    assert (proto.producer_name, proto.producer_version, proto.doc_string) == ("chita-edge", "", "")
    assert b"trace" not in proto.SerializeToString()
    assert b"/home/me" not in proto.SerializeToString()
    assert [attribute.name for attribute in proto.graph.node[0].attribute] == ["strides"]
    assert [tensor.name for tensor in proto.graph.initializer] == ["w", "a", "b"]


def test_attributes_that_say_something_stay(from_text: Callable) -> None:
    text = """
    main (float[n, 4] x) => (float[n, 3] y) { y = Gemm <alpha = 2.0, beta = 1.0, transA = 0, transB = 1> (x, w, b) }
    """
    model = from_text(text, {"w": np.ones((3, 4)), "b": np.ones(3)})
    Strip()(model)
    (node,) = model.graph
    assert set(node.attributes) == {"alpha", "transB"}
