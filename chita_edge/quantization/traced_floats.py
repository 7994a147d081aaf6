"""Parts of a traced network that no integer op does: float32 steps, and functions of single numbers as tables."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import fx, nn

from chita_edge.quantization.elementwise import is_elementwise
from chita_edge.quantization.traced_ops import MOVES
from chita_edge.quantization.traced_values import is_dropout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from chita_edge.quantization.traced_values import Values

LAYOUTS: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "": (),
    "series": (("squeeze", (2,)),),
    "rows3": (("squeeze", (3,)), ("transpose", (1, 2))),
    "rows4": (("permute", (0, 2, 3, 1)),),
}
"""Methods that bring codes of a layout to that of the network's value."""


class Floats:
    """Nodes without an integer form so far, and why.

    Args:
        traced: the network.
        modules: by name.
        values: shapes of what it makes.
        refused: names of nodes that have an integer form and better have none.
        series: whether it is a network of series, whose codes are images of height 1.
    """

    def __init__(
        self,
        traced: fx.GraphModule,
        modules: Mapping[str, nn.Module],
        values: Values,
        refused: Collection[str],
        *,
        series: bool,
    ) -> None:
        self.traced, self.modules, self.values, self.refused, self.series = traced, modules, values, refused, series
        self.reasons: dict[fx.Node, str] = {}

    def part(self, node: fx.Node, known: Collection[fx.Node]) -> tuple[list[fx.Node], list[fx.Node]]:
        """What makes a node's value: the known nodes that it is made of, and those in between, both in order."""
        seen, waiting = {node}, [node]
        while waiting:
            one = waiting.pop()
            if one is not node and one in known:
                continue
            new = [source for source in one.all_input_nodes if source not in seen]
            seen.update(new)
            waiting += new
        ordered = [one for one in self.traced.graph.nodes if one in seen]
        read = [one for one in ordered if one in known and one is not node]
        return read, [one for one in ordered if one not in read]

    def is_curve(self, inside: Sequence[fx.Node], read: Sequence[fx.Node]) -> bool:
        """Whether nodes make a function of the single numbers of one value."""
        shape = self.values.shape(read[0]) if len(read) == 1 else None
        return shape is not None and all(
            is_elementwise(node, self.modules) and self.values.shape(node) == shape for node in inside
        )

    def curve(self, read: fx.Node, inside: Sequence[fx.Node]) -> Callable[[torch.Tensor], torch.Tensor]:
        """The function of nodes that `is_curve` is true of; computed in float64."""
        module = self.module([read], inside, {}).double()

        def function(numbers: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = module(numbers.clone().double())
            return made.to(numbers.dtype)

        return function

    def module(
        self, read: Sequence[fx.Node], inside: Sequence[fx.Node], layouts: Mapping[fx.Node, str]
    ) -> fx.GraphModule:
        """A module of some nodes, in float32, with modules and parameters of its own and with their ``meta``.

        Args:
            read: what it takes, in this order.
            inside: what it does; gives what the last makes, or what it reads where there is none.
            layouts: of ``read``, those whose codes have another layout: "series" as images of height 1, "rows" within
                samples, whose channels are behind the batch there.
        """
        graph, made = fx.Graph(), dict[fx.Node, fx.Node]()
        for place, node in enumerate(read):
            made[node] = graph.placeholder(f"x_{place}")
            made[node].meta = node.meta | {"layout": self._layout(node, layouts)}
        for node in read:
            for method, arguments in LAYOUTS[self._layout(node, layouts)]:
                made[node] = graph.call_method(method, (made[node], *arguments))
        for node in inside:
            if is_dropout(node, self.modules):
                made[node] = made[node.all_input_nodes[0]]
            else:
                made[node] = graph.node_copy(node, lambda one: made[one])
        graph.output(made[(inside or read)[-1]])
        module = copy.deepcopy(fx.GraphModule(self.traced, graph)).eval()
        module.requires_grad_(requires_grad=False)
        module.meta = dict(self.traced.meta)
        return module

    def _layout(self, node: fx.Node, layouts: Mapping[fx.Node, str]) -> str:
        """Name of `LAYOUTS`."""
        found = layouts.get(node, "")
        return f"{found}{len(self.values.shapes[node.name])}" if found == "rows" else found

    def told(self, inside: Sequence[fx.Node]) -> tuple[str, ...]:
        """What of some nodes has no integer form, each once; nodes that move numbers are not told of.

        Where each has one, and float steps around it have none, what they all do.
        """
        found = dict.fromkeys(reason for node in inside if (reason := self.reasons.get(node, "")))
        return tuple(found or dict.fromkeys(name for node in inside if (name := self._arithmetic(node))))

    def _arithmetic(self, node: fx.Node) -> str:
        """Name of what a node does; empty where it moves numbers, or makes none."""
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        moves = node.target in MOVES or getattr(module, "moves", False) or is_dropout(node, self.modules)
        if moves or node.op == "get_attr" or self.values.shape(node) is None:
            return ""
        what = node.target if module is None else type(module)
        return str(getattr(module, "called", getattr(what, "__name__", what)))
