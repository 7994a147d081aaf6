"""A shape rule's bounds for arrays, and the shapes that ONNX's reference makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from exporters.untrusted.node_view import NodeView
from exporters.untrusted.shapes import RULES


def bounds(
    op: str, inputs: list[Any], attributes: dict[str, Any], outputs: int = 1, opset: int = 24
) -> list[tuple[int, ...]]:
    """What the rule gives, for each output. An input may be None: left out."""
    known = {
        index: tuple(int(entry) for entry in array.ravel())
        for index, array in enumerate(inputs)
        if array is not None and array.dtype == np.int64 and array.size < 9
    }
    given = {name: helper.make_attribute(name, value) for name, value in attributes.items()}
    shapes = tuple(None if array is None else array.shape for array in inputs)
    found = RULES[op](NodeView("n", op, shapes, known, given, outputs=outputs, opset=opset))
    return found if isinstance(found, list) else [found]


def made(
    op: str, inputs: list[Any], attributes: dict[str, Any], outputs: int = 1, opset: int = 24
) -> list[tuple[int, ...]]:
    """The shapes of what the reference makes."""
    names = ["" if array is None else f"x{index}" for index, array in enumerate(inputs)]
    feeds = {name: array for name, array in zip(names, inputs, strict=True) if name}
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    results = [f"y{index}" for index in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, **attributes)],
        "g",
        values,
        [onnx.ValueInfoProto(name=name) for name in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return [np.asarray(array).shape for array in ReferenceEvaluator(model).run(None, feeds)]
