"""Conversion of nodes of ours into stages of one node."""

from __future__ import annotations

from typing import cast

import onnx_ir as ir

from exporters.ops import Part
from exporters.ops._op import Attribute


def add_stage(part: Part, node: ir.Node, inputs: dict[str, ir.Value], attributes: dict[str, Attribute]) -> None:
    """Give a stage the constants and attributes of its node, their names followed by the stage's suffix."""
    given = dict(zip(part.op.inputs, node.inputs, strict=True))
    inputs |= {key + part.suffix: cast("ir.Value", given[key]) for key in part.op.constants}
    for key, attribute in node.attributes.items():
        value = attribute.value
        attributes[key + part.suffix] = tuple(value) if isinstance(value, list | tuple) else value
