"""One op of the domain: its name, inputs, function body, and the builder of its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from exporters.ops._text import ACTIVATIONS, DOMAIN, OPSET, Activation, function
from exporters.weights.csr import Csr
from exporters.weights.dtypes import Array
from exporters.weights.nm import Nm

Attribute = int | float | str | Sequence[int]


@dataclass(frozen=True, eq=False)
class EdgeOp:
    """An op of the domain ``chita.edge``.

    base, activation: its name is that of the base and the activation's, which a clip has none of (None: the op takes
    none). inputs: names in order. constants: those that must be initializers. function: its meaning in standard ONNX.
    stages: of a chain or a sequence, in order; empty for an op with one weight or none.
    """

    base: str
    activation: Activation | None
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    function: onnx.FunctionProto
    stages: tuple[Part, ...] = ()

    @property
    def name(self) -> str:
        """The op's name in a file."""
        return self.function.name

    def body(self, opset: int) -> onnx.FunctionProto:
        """The function for a model of that operator set, which ONNX wants to be the function's as well.

        From version 18 on, newer sets change nothing but which types the body's operators take.
        """
        found = onnx.FunctionProto()
        found.CopyFrom(self.function)
        for entry in found.opset_import:
            entry.version = max(opset, entry.version)
        return found

    @property
    def is_csr(self) -> bool:
        """Whether its weight is stored as CSR."""
        return "row_ptr" in self.constants

    @property
    def is_nm(self) -> bool:
        """Whether its weight is stored as N:M."""
        return "index" in self.constants

    @property
    def is_sparse(self) -> bool:
        """Whether its weight is stored in one of the sparse ways."""
        return self.is_csr or self.is_nm

    @property
    def in_blocks(self) -> bool:
        """Whether rows of its CSR are blocks of output channels."""
        return self.base.startswith("Block")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The weights of a node of this op: its stages, or the op itself."""
        return self.stages or (Part(self, ""),)


@dataclass(frozen=True, eq=False)
class Part:
    """A weight of a node: the op that says what it means, and how the names of its inputs and attributes end.

    source, residual: of a stage, which value it reads, and adds; value 0 is the node's X, value i + 1 what stage i
    makes.
    """

    op: EdgeOp
    suffix: str
    source: int = 0
    residual: int | None = None


def stages_op(
    name: str, overload: str, activation: Activation | None, parts: Sequence[Part], residual: bool = False
) -> EdgeOp:
    """An op of several stages: its inputs are X, their constants, and, if ``residual``, one that the last one adds.

    Names that are a stage's alone end as its part says, its X and Y are the values between the stages.
    """
    constants = tuple(key + part.suffix for part in parts for key in part.op.constants)
    inputs = ("X", *constants, *(["residual"] if residual else []))
    body = onnx.FunctionProto(name=name, domain=DOMAIN, overload=overload, input=inputs, output=["Y"])
    body.opset_import.add(domain="", version=OPSET)
    values = ["X", *(f"Y{part.suffix}" for part in parts[:-1]), "Y"]
    for index, part in enumerate(parts):
        added = "residual" if part.residual is None else values[part.residual]
        outer = {"X": values[part.source], "Y": values[index + 1], "residual": added, "": ""}
        body.node.extend(renamed(node, outer, part.suffix) for node in part.op.function.node)
        body.attribute.extend(key + part.suffix for key in part.op.function.attribute)
        for default in part.op.function.attribute_proto:
            entry = body.attribute_proto.add()
            entry.CopyFrom(default)
            entry.name += part.suffix
    return EdgeOp(name, activation, inputs, constants, body, tuple(parts))


def renamed(original: onnx.NodeProto, outer: Mapping[str, str], suffix: str) -> onnx.NodeProto:
    """A copy of a node of a stage: names that ``outer`` holds become those there, all others end in ``suffix``."""
    node = onnx.NodeProto()
    node.CopyFrom(original)
    node.input[:] = [outer.get(name, name + suffix) for name in original.input]
    node.output[:] = [outer.get(name, name + suffix) for name in original.output]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            attribute.ref_attr_name += suffix
    return node


def with_each_activation(
    base: str, inputs: Sequence[str], constants: Sequence[str], body: str, attributes: Sequence[str] = ()
) -> tuple[EdgeOp, ...]:
    """An op and its variants, one an activation; ``body`` gives Z, which the activation makes Y of.

    They are ops of their own, as a function body in standard ONNX cannot branch on an attribute but with an If, which
    would keep runtimes from fusing; one formula for all activations would cost each of them what it does not need, and
    multiply infinities by the zeros of the others.
    """
    return tuple(
        EdgeOp(
            base,
            name,
            tuple(inputs),
            tuple(constants),
            function(base + one.suffix, (*attributes, *one.attributes), inputs, body + one.body),
        )
        for name, one in ACTIVATIONS.items()
    )


def csr_constants(csr: Csr) -> dict[str, Array]:
    """The inputs of a CSR op that are its weight, by the names that the ops give them."""
    return {
        "values": csr.values,
        "col_idx": csr.col_idx,
        "row_ptr": csr.row_ptr,
        "weight_shape": np.array(csr.shape, np.int64),
    }


def nm_constants(nm: Nm) -> dict[str, Array]:
    """The inputs of an N:M op that are its weight, by the names that the ops give them; its attribute m is ``nm.m``."""
    return {"values": nm.values, "index": nm.index, "weight_shape": np.array(nm.shape, np.int64)}


def initializer(name: str, array: Array) -> ir.Value:
    """A constant of a graph, to be registered there."""
    tensor = ir.tensor(np.asarray(array, order="C"), name=name)  # ascontiguousarray would make a number a vector
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
    overload = op.function.overload
    node = ir.node(op.name, ordered, attributes=dict(attributes), domain=DOMAIN, overload=overload, name=name)
    return node, list(initializers.values())
