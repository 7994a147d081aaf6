"""Neighbouring small layers → one ConvSequence.

Requires: Sparsify; Chain before it. Ensures: the same network, in which runs of nodes of ours of few multiply-adds are
one node each, which reads one value and makes one; equal runs share a name and a body. What ONNX Runtime does for a
node, and above all the handing of a part of it to another thread, takes as long as a small layer itself.
Larger layers stay nodes of their own, whose time a profile can tell.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import static_shape
from exporters.ops import DOMAIN, build_node
from exporters.ops._op import Attribute
from exporters.ops.conv_sequence import MOST_STAGES, MOST_TEXT, NAMES, STAGES, sequence_op, sequence_text
from exporters.passes._stage import add_stage

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_WORK = 2 << 20
"""Multiply-adds with weights that are not 0, for one image, of a layer that is small."""


class Sequence(ir.passes.InPlacePass):
    """Runs of small layers → ConvSequence."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Take the longest run from each node on that has one input and one output."""
        graph = model.graph
        nodes, at, runs = list(graph), 0, list[list[ir.Node]]()
        while at < len(nodes):
            run = _longest(nodes[at : at + MOST_STAGES])
            if len(run) > 1:
                runs.append(run)
            at += max(1, len(run))
        names = _names(runs)
        runs = [run for run in runs if _text(run) in names]
        for run in runs:
            _replace(graph, run, names)
        return ir.passes.PassResult(model, bool(runs))


def _names(runs: list[list[ir.Node]]) -> dict[str, str]:
    """Names of the runs' texts; where there are more texts than names, those that join the most nodes get one."""
    joined = Counter[str]()
    for run in runs:
        joined[_text(run)] += len(run)
    return dict(zip((text for text, _ in joined.most_common(len(NAMES))), NAMES, strict=False))


def _longest(nodes: list[ir.Node]) -> list[ir.Node]:
    """The longest beginning of ``nodes`` that reads one value and of which only the last one's output is needed."""
    best = 0
    made: dict[ir.Value, int] = {}  # what is made so far: how many of its readers are not among the nodes yet
    for count, node in enumerate(nodes, start=1):
        if not _is_small(node) or any(value not in made and value is not nodes[0].inputs[0] for value in _read(node)):
            break
        for value in _read(node):
            if value in made:
                made[value] -= 1
        made[node.outputs[0]] = len(list(node.outputs[0].uses())) + node.outputs[0].is_graph_output()
        if not any(left for value, left in made.items() if value is not node.outputs[0]):
            best = count
    return nodes[:best] if len(_text(nodes[:best])) <= MOST_TEXT else []


def _read(node: ir.Node) -> list[ir.Value]:
    """Inputs of a node of our domain besides its constants: X and the residual."""
    names = STAGES[node.op_type].inputs
    return [cast("ir.Value", value) for key, value in zip(names, node.inputs, strict=True) if key in ("X", "residual")]


def _is_small(node: ir.Node) -> bool:
    if node.domain != DOMAIN or node.op_type not in STAGES:
        return False
    shape = static_shape(node.outputs[0])
    if shape is None or len(shape) != 4 or None in shape[2:]:
        return False
    names = STAGES[node.op_type].inputs
    weights = cast("ir.Value", node.inputs[names.index("values" if "values" in names else "W")]).const_value
    assert weights is not None  # noqa: S101 (nodes of ours have constant weights)
    return int(np.count_nonzero(weights.numpy())) * math.prod(cast("tuple[int, int]", shape[2:])) <= MOST_WORK


def _text(nodes: list[ir.Node]) -> str:
    values = {cast("ir.Value", nodes[0].inputs[0]): 0} if nodes else {}
    stages: list[tuple[str, int, int | None]] = []
    for index, node in enumerate(nodes):
        source, *added = (values[value] for value in _read(node))
        stages.append((node.op_type, source, added[0] if added else None))
        values[node.outputs[0]] = index + 1
    return sequence_text(stages)


def _replace(graph: ir.Graph, nodes: list[ir.Node], names: Mapping[str, str]) -> None:
    text = _text(nodes)
    op = sequence_op(text, names[text])
    assert op is not None  # noqa: S101 (the text is ours)
    inputs = {"X": cast("ir.Value", nodes[0].inputs[0])}
    attributes: dict[str, Attribute] = {"stages": text}
    for part, node in zip(op.parts, nodes, strict=True):
        add_stage(part, node, inputs, attributes)
    sequence, _ = build_node(op, "+".join(node.name or "" for node in nodes), inputs, {}, attributes)
    ir.convenience.replace_nodes_and_values(graph, nodes[-1], nodes, [sequence], nodes[-1].outputs, sequence.outputs)
