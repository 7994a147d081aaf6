"""ONNX's operators in torch: a function each, of its inputs and, by keyword, its attributes.

An input that a node leaves out is None. What a function does not do it refuses with NotComputed, and ONNX Runtime
computes that node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporters.interpreter.ops import elementwise, layers, normalise, pooling, recurrent, reduce, resize, shapes

OPS: dict[str, Callable[..., Any]] = {
    name: function
    for family in (elementwise, layers, normalise, pooling, recurrent, reduce, resize, shapes)
    for name, function in family.OPS.items()
}

__all__ = ["OPS"]
