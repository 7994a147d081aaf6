"""One op of the domain: its name, inputs, function body, and the builder of its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from exporters.csr import Array, Csr
from exporters.ops._text import DOMAIN

Attribute = int | float | Sequence[int]


@dataclass(frozen=True, eq=False)
class EdgeOp:
    """An op of the domain ``chita.edge``.

    inputs: names in order. constants: those that must be initializers. function: its meaning in standard ONNX.
    """

    name: str
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    function: onnx.FunctionProto

    @property
    def is_csr(self) -> bool:
        """Whether its weight is stored as CSR."""
        return "row_ptr" in self.constants


def csr_constants(csr: Csr) -> dict[str, Array]:
    """The inputs of a CSR op that are its weight, by the names that the ops give them."""
    return {
        "values": csr.values,
        "col_idx": csr.col_idx,
        "row_ptr": csr.row_ptr,
        "weight_shape": np.array(csr.shape, np.int64),
    }


def initializer(name: str, array: Array) -> ir.Value:
    """A constant of a graph, to be registered there."""
    tensor = ir.tensor(np.ascontiguousarray(array), name=name)
    return ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


def build_node(
    op: EdgeOp,
    name: str,
    inputs: Mapping[str, ir.Value],
    constants: Mapping[str, Array],
    attributes: Mapping[str, Attribute],
) -> tuple[ir.Node, list[ir.Value]]:
    """A node called ``name`` and the initializers made for it, called ``name.values`` and so on.

    inputs: values that are there, by the op's names for them; constants: arrays that become initializers. Together they
    are all of the op's inputs.
    """
    initializers = {key: initializer(f"{name}.{key}", array) for key, array in constants.items()}
    ordered = [initializers[key] if key in initializers else inputs[key] for key in op.inputs]
    node = ir.node(op.name, ordered, attributes=dict(attributes), domain=DOMAIN, name=name)
    return node, list(initializers.values())
