"""Queries on a graph that several passes share."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from exporters.weights.dtypes import Array


def constant(value: ir.Value | None) -> Array | None:
    """The array of an initializer that is no graph input; None for all other values."""
    if value is None or value.is_graph_input() or not value.is_initializer() or value.const_value is None:
        return None
    return value.const_value.numpy()


def ints(node: ir.Node, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """An attribute that is a list of integers."""
    attribute = node.attributes.get(name)
    return tuple(default) if attribute is None else tuple(attribute.as_ints())


def only_user(value: ir.Value) -> ir.Node | None:
    """The one node that reads the value; None when there are none or several, or the graph hands the value out."""
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def static_shape(value: ir.Value) -> tuple[int | None, ...] | None:
    """The dimensions, None for symbolic ones; None when even the rank is unknown."""
    if value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)
