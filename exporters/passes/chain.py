"""DepthwiseConv → CsrConv and other runs of our convolutions → one ConvChain….

Requires: Sparsify. Ensures: the same network, in which runs of nodes whose activations exceed the target's cache are
one node each. What a sparse convolution reads from a depthwise one counts from half of that size on, as a kernel can
compute it where it is read. A run ends where an activation has another reader or leaves the network. Which runs: those
that together keep the most bytes out of memory, by dynamic programming over each maximal run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import onnx_ir as ir

from exporters.layers.graph import ints, static_shape
from exporters.ops import CHAINS, DOMAIN, build_node
from exporters.ops._op import Attribute
from exporters.ops.conv_chain import STAGES
from exporters.passes._stage import add_stage

_LETTERS = {stage.name: letter for letter, stage in STAGES.items()}
_BAND_ROWS = 4
"""Output rows for which the cache must have room: with fewer, starting a stage costs as much as running it."""


_FED_WIDTH = 17
"""Planes from this width on go from a depthwise convolution to a sparse one without memory; with narrower ones nothing
is gained (runtimes/native/conv_chain/steps.h), nor with those that the cache holds well."""


@dataclass(frozen=True, eq=False)
class _Link:
    """A node of a run. height, width, channels: of its output; stride, kernel: rows of its window."""

    node: ir.Node
    letter: str
    channels: int
    height: int
    width: int
    stride: int
    reach: int

    @property
    def bytes(self) -> int:
        return 4 * self.channels * self.height * self.width


class Chain(ir.passes.InPlacePass):
    """Runs of our convolutions → ConvChain…: what is between them exceeds half of ``cache`` bytes, a quarter if fed."""

    def __init__(self, cache: int) -> None:
        self._cache = cache

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Find the runs, cut them, replace."""
        graph = model.graph
        replaced = False
        for run in _runs(graph):
            for begin, end in _best_cut(run, self._cache):
                _replace(graph, run[begin:end])
                replaced = True
        return ir.passes.PassResult(model, replaced)


def _link(node: ir.Node) -> _Link | None:
    """The node as a stage of a chain; None if it cannot be one."""
    letter = _LETTERS.get(node.op_type) if node.domain == DOMAIN else None
    shape = static_shape(node.outputs[0])
    if letter is None or shape is None or len(shape) != 4:
        return None
    channels, height, width = shape[1:]
    if channels is None or height is None or width is None:
        return None
    strides, pads, dilations = ints(node, "strides", ()), ints(node, "pads", ()), ints(node, "dilations", ())
    kernel = _kernel(node)
    if letter in "PA" and (kernel != (1, 1) or set(strides) != {1} or set(pads) != {0}):
        return None
    return _Link(node, letter, channels, height, width, strides[0], (kernel[0] - 1) * dilations[0] + 1)


def _kernel(node: ir.Node) -> tuple[int, int]:
    place = 4 if node.op_type in ("CsrConv", "CsrConvAdd") else 1
    tensor = cast("ir.Value", node.inputs[place]).const_value
    assert tensor is not None  # noqa: S101 (nodes of ours have constant weights)
    shape = tensor.numpy() if place == 4 else tensor.numpy().shape
    return int(shape[2]), int(shape[3])


def _runs(graph: ir.Graph) -> list[list[_Link]]:
    """Maximal runs of nodes that each read the one before, which nothing else reads."""
    links = {node: link for node in graph if (link := _link(node)) is not None}
    following: dict[ir.Node, ir.Node] = {}
    for node in links:
        value = node.outputs[0]
        uses = list(value.uses())
        if len(uses) == 1 and uses[0].idx == 0 and uses[0].node in links and not value.is_graph_output():
            following[node] = uses[0].node
    runs = []
    for node in links:
        if node in following.values():
            continue
        run = [links[node]]
        while run[-1].node in following:
            run.append(links[following[run[-1].node]])
        runs.append(run)
    return runs


def _best_cut(run: list[_Link], cache: int) -> list[tuple[int, int]]:
    """The chains of a run: [begin, end) each, saving the most; of equal ones those of the fewest stages.

    A stage more that saves nothing would only compute its rows at the seams of the bands twice.
    """
    best: list[tuple[int, int, list[tuple[int, int]]]] = [(0, 0, [])]  # saved bytes, −stages in chains, chains
    for end in range(1, len(run) + 1):
        found = best[end - 1]
        for pattern in CHAINS:
            begin = end - len(pattern)
            if begin < 0 or "".join(link.letter for link in run[begin:end]) != pattern:
                continue
            saved = _saved(run[begin:end], cache)
            if saved:
                candidate = (best[begin][0] + saved, best[begin][1] - len(pattern), [*best[begin][2], (begin, end)])
                found = max(found, candidate, key=lambda entry: entry[:2])
        best.append(found)
    return best[-1][2]


def _saved(stages: list[_Link], cache: int) -> int:
    """Bytes between the stages that no cache would hold, 0 if a band of a few rows does not fit either."""
    rows, held, saved = _BAND_ROWS, 0, 0
    for before, after in zip(stages[-2::-1], stages[:0:-1], strict=True):
        fed = before.letter == "D" and after.letter in "PA" and before.width >= _FED_WIDTH
        needed = (rows - 1) * after.stride + after.reach
        held += 0 if fed else 4 * before.channels * before.width * min(needed, before.height)
        saved += before.bytes if (4 if fed else 2) * before.bytes > cache else 0
        rows = rows * after.stride
    return saved if held <= cache else 0


def _replace(graph: ir.Graph, stages: list[_Link]) -> None:
    nodes = [link.node for link in stages]
    op = CHAINS["".join(link.letter for link in stages)]
    inputs = {"X": cast("ir.Value", nodes[0].inputs[0])}
    attributes: dict[str, Attribute] = {}
    for part, node in zip(op.parts, nodes, strict=True):
        add_stage(part, node, inputs, attributes)
    if op.inputs[-1] == "residual":
        inputs["residual"] = cast("ir.Value", nodes[-1].inputs[-1])
    name = "+".join(node.name or "" for node in nodes)
    chain, _ = build_node(op, name, inputs, {}, attributes)
    ir.convenience.replace_nodes_and_values(graph, nodes[-1], nodes, [chain], nodes[-1].outputs, chain.outputs)
