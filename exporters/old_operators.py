"""Operators whose older versions mean something that ONNX's version converter loses.

Upsample, Resize of version 10 → Resize at asymmetric places, rounded down
Hardmax before version 13     → Hardmax of the matrix that Flatten makes, in the shape of the input again
"""

from __future__ import annotations

import onnx
from onnx import helper

_STANDARD = ("", "ai.onnx")
_HARDMAX_OF_AXIS = 13
_RESIZE_OF_PLACES = 11


def keep_meaning(old: onnx.ModelProto, new: onnx.ModelProto, opset: int) -> None:
    """Give nodes of ``new``, which the converter made of ``old``, the meaning that they had; in place.

    opset: of ``old``. Nodes are found by the values that they make, whose names the converter keeps.
    """
    made = {name: node for node in old.graph.node if node.domain in _STANDARD for name in node.output if name}
    kept: list[onnx.NodeProto] = []
    for node in new.graph.node:
        before = made.get(node.output[0]) if node.output else None
        kind = "" if before is None else before.op_type
        if node.op_type == "Resize" and (kind == "Upsample" or (kind == "Resize" and opset < _RESIZE_OF_PLACES)):
            mode = (
                next((a.s.decode() for a in before.attribute if a.name == "mode"), "nearest") if before else "nearest"
            )
            _set(node, "mode", mode)
            _set(node, "coordinate_transformation_mode", "asymmetric")
            _set(node, "nearest_mode", "floor")
        if node.op_type == "Hardmax" == kind and opset < _HARDMAX_OF_AXIS:
            kept += _hardmax(node)
        else:
            kept.append(node)
    del new.graph.node[:]
    new.graph.node.extend(kept)


def _text(node: onnx.NodeProto | None, name: str, default: str) -> str:
    found = [] if node is None else [attribute.s.decode() for attribute in node.attribute if attribute.name == name]
    return found[0] if found else default


def _set(node: onnx.NodeProto, name: str, value: str) -> None:
    others = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(name, value)])


def _hardmax(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    given, result = node.input[0], node.output[0]
    shape, flat, best = (f"{result}.{part}" for part in ("shape", "flat", "best"))
    return [
        helper.make_node("Shape", [given], [shape]),
        helper.make_node("Flatten", [given], [flat], axis=axis),
        helper.make_node("Hardmax", [flat], [best], node.name, axis=1),
        helper.make_node("Reshape", [best, shape], [result]),
    ]
