"""Writing of QSequence nodes into a graph, in the place of the steps that they take over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import onnx_ir as ir

from exporters.ops import build_node
from exporters.ops._op import Attribute
from exporters.ops.q_sequence import q_sequence_op
from exporters.passes._q_layer import stored_weight
from exporters.passes._weight_store import WeightStore
from exporters.qdq.grid import Grid, is_dequantize, is_quantize
from exporters.qdq.info import QuantisedDecision
from exporters.qdq.regions import PRODUCTS, Region
from exporters.qdq.steps import Code, Step
from exporters.weights import nibbles
from exporters.weights.dtypes import Array

_SAME_IN_FLOAT = frozenset(
    ("Concat", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "QuantizeLinear")
)
"""Ops whose float32 result is rounded to the codes that their integer form gives: they move numbers, or choose one."""

_PRODUCTS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
"""Ops with integer forms whose output is real; those of all others are followed by a QuantizeLinear."""


class Writer:
    """Nodes of ours in the place of parts of a graph. regions: all that will be written."""

    def __init__(
        self, graph: ir.Graph, decisions: Mapping[Step, QuantisedDecision], regions: Sequence[Region] = ()
    ) -> None:
        self._graph, self._decisions = graph, decisions
        self._taken = {node for region in regions for step in region.steps for node in step.covers}
        self._weights = WeightStore(graph)
        self._handed_out: dict[Code, ir.Value] = {}
        self._unpacked: dict[tuple[ir.Value, tuple[int, ...]], ir.Value] = {}

    def write(self, region: Region, text: str, name: str) -> None:
        """Put one node in the place of a part."""
        op = q_sequence_op(text, name)
        assert op is not None  # noqa: S101 (the text is ours)
        called = "+".join(step.name for step in region.products)
        source, before = self._source(region, called)
        inputs, attributes = {"X": source}, dict[str, Attribute]({"stages": text})
        inputs |= self._grid(region.entry.grid, "_0")
        for index, step in enumerate(region.steps, start=1):
            inputs |= self._constants(step, f"_{index}", before)
            attributes |= {f"{key}_{index}": value for key, value in step.attributes.items()}
        node, _ = build_node(op, called, inputs, {}, attributes)
        last = region.steps[-1]
        if last.output is None:
            made = cast("ir.Value", last.real)
            old = cast("ir.Node", made.producer())
            self._replace(old, [*before, node], made, node.outputs[0])
        else:
            self._hand_out(last.output, [*before, node])

    def _grid(self, grid: Grid, suffix: str) -> dict[str, ir.Value]:
        arrays: dict[str, Array] = {
            "y_scale": np.asarray(grid.scale, np.float32),
            "y_zero": np.asarray(grid.zero, np.uint8),
        }
        return {key + suffix: self._weights.get("grid", {key: array})[key] for key, array in arrays.items()}

    def _constants(self, step: Step, suffix: str, new: list[ir.Node]) -> dict[str, ir.Value]:
        """The constants of a stage; new: takes the nodes that unpack some of them."""
        arrays: dict[str, Array] = {}
        if step.op in PRODUCTS:
            arrays = stored_weight(step, self._decisions[step])
        elif step.table is not None:
            arrays = {"table": step.table}
        packed = {key: array for key, array in arrays.items() if nibbles.fits(array)}
        arrays |= {key: nibbles.pack(array) for key, array in packed.items()}
        found = {key + suffix: value for key, value in self._weights.get(step.name, arrays).items()} if arrays else {}
        for key, array in packed.items():
            found[key + suffix] = self._unpack(found[key + suffix], array.shape, new)
        if step.output is not None and step.op != "QMaxPool":
            found |= self._grid(step.output.grid, suffix)
        return found

    def _unpack(self, packed: ir.Value, shape: tuple[int, ...], new: list[ir.Node]) -> ir.Value:
        """Weights of four bits that are held two a byte."""
        if (packed, shape) not in self._unpacked:
            name = packed.name or "packed"
            table = self._weights.get("nibbles", {"table": nibbles.TABLE})["table"]
            sides = self._weights.get(name, {"shape": np.array(shape, np.int64)})["shape"]
            index = ir.node("Cast", [packed], attributes={"to": int(ir.DataType.INT32)}, name=f"{name}.index")
            pairs = ir.node("Gather", [table, index.outputs[0]], attributes={"axis": 0}, name=f"{name}.pairs")
            whole = ir.node("Reshape", [pairs.outputs[0], sides], name=f"{name}.unpacked")
            for node in (index, pairs, whole):
                node.outputs[0].name = node.name
            new += [index, pairs, whole]
            self._unpacked[packed, shape] = whole.outputs[0]
        return self._unpacked[packed, shape]

    def _source(self, region: Region, called: str) -> tuple[ir.Value, list[ir.Node]]:
        """The float32 image that a part reads, and the nodes that make it one."""
        new = list[ir.Node]()
        if region.entry in self._handed_out:
            return self._handed_out[region.entry], new
        if region.begin is not None:
            value = cast("ir.Value", region.begin.real)
        else:
            read = [use.node for use in region.entry.value.uses() if is_dequantize(use.node)]
            if read:
                value = read[0].outputs[0]
            else:
                new.append(self._convert("DequantizeLinear", region.entry.value, region.entry.grid, f"{called}.input"))
                value = new[-1].outputs[0]
        if region.entry.rank == 4:
            return value, new
        shape = np.array([-1, *region.entry.shape], np.int64)
        new.append(ir.node("Reshape", [value, self._weights.get(called, {"shape": shape})["shape"]]))
        new[-1].name = new[-1].outputs[0].name = f"{called}.image"
        return new[-1].outputs[0], new

    def _hand_out(self, code: Code, new: list[ir.Node]) -> None:
        """Let readers of codes read what the new node makes: float32 as it is, or codes of it."""
        real = self._handed_out[code] = new[-1].outputs[0]
        batch = code.value.shape[0] if code.value.shape is not None else None
        real.type, real.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([batch, *code.shape])
        if code.rank == 2:
            real.name = f"{code.value.name}.image"
            new.append(ir.node("Flatten", [real], attributes={"axis": 1}, name=f"{code.value.name}.flat"))
            real = new[-1].outputs[0]
            real.type, real.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([batch, math.prod(code.shape)])
        old = cast("ir.Node", code.value.producer())
        readers = [use.node for use in code.value.uses() if is_dequantize(use.node)]
        whole = code.value.is_graph_output() or len(readers) < len(code.value.uses())
        # Runtimes have integer forms of such readers, which round otherwise than float32; they look for codes before.
        whole = whole or any(self._computes(use.node) for node in readers for use in node.outputs[0].uses())
        if whole or any(node.outputs[0].is_graph_output() for node in readers[1:]):
            real.name = f"{code.value.name}.real"
            new.append(self._convert("QuantizeLinear", real, code.grid, f"{code.value.name}.codes"))
            self._replace(old, new, code.value, new[-1].outputs[0])
            return
        first, *others = readers
        for node in others:
            node.outputs[0].replace_all_uses_with(first.outputs[0])
        ir.convenience.replace_nodes_and_values(self._graph, old, [first], new, first.outputs, [real])

    def _computes(self, node: ir.Node) -> bool:
        """Whether a node that stays does arithmetic that runtimes may do on codes."""
        if node in self._taken or (not node.domain and node.op_type in _SAME_IN_FLOAT):
            return False
        return bool(node.domain) or node.op_type in _PRODUCTS or any(map(_is_rounded, node.outputs))

    def _convert(self, op: str, value: ir.Value, grid: Grid, name: str) -> ir.Node:
        """A QuantizeLinear or DequantizeLinear of the file's own type of codes."""
        zero = np.asarray(grid.zero - grid.shift, np.int8 if grid.shift else np.uint8)
        constants = self._weights.get("grid", {"scale": np.asarray(grid.scale), "zero": zero})
        node = ir.node(op, [value, constants["scale"], constants["zero"]], name=name)
        node.outputs[0].name = name
        return node

    def _replace(self, old: ir.Node, new: list[ir.Node], value: ir.Value, by: ir.Value) -> None:
        ir.convenience.replace_nodes_and_values(self._graph, old, [old], new, [value], [by])


def _is_rounded(value: ir.Value) -> bool:
    """Whether a QuantizeLinear reads a value, behind Clip and Relu nodes or not."""
    return any(
        is_quantize(use.node) or (use.node.op_type in ("Clip", "Relu") and any(map(_is_rounded, use.node.outputs)))
        for use in value.uses()
    )
