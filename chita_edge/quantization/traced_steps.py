"""Steps that a traced network's nodes have become, and what later nodes find of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import fx

from chita_edge.quantization.errors import RefusalError, UnsupportedNetworkError
from chita_edge.quantization.graph import REAL, Graph, Step
from chita_edge.quantization.traced_values import ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from chita_edge.quantization.traced_floats import Floats


class TracedSteps:
    """Steps found so far, and which of them stands for each traced node.

    Args:
        modules: of the network, by name.
        floats: what has no integer form; None where it is refused.
        series: whether it is a network of series.
    """

    def __init__(self, modules: Mapping[str, nn.Module], floats: Floats | None, *, series: bool) -> None:
        self.modules, self.floats, self.series = modules, floats, series
        self.steps: dict[str, Step] = {}
        self.stands: dict[fx.Node, str] = {}
        self.rowed: dict[fx.Node, str] = {}  # of values whose channels are last, which the codes have behind the batch
        self.in_rows = False
        self.reals: dict[fx.Node, str] = {}  # float steps, and the input as it comes
        self.pads: dict[fx.Node, tuple[int, int, int, int]] = {}  # zeros around a value that convolutions read
        self.tensors: dict[fx.Node, str] = {}
        self.arguments: dict[fx.Node, int] = {}  # the network's inputs, and which they are
        self.users: dict[str, int] = {}
        self.flat: set[str] = set()  # rounded float steps that give rows
        self.output = ""

    def found(self) -> tuple[Any, ...]:
        """A copy of all that was found so far."""
        return tuple(part.copy() for part in self._all())

    def restore(self, found: tuple[Any, ...]) -> None:
        """Forget what was found since."""
        self.steps, self.stands, self.rowed, self.reals, self.pads, self.users, self.flat = found

    def _all(self) -> tuple[Any, ...]:
        return self.steps, self.stands, self.rowed, self.reals, self.pads, self.users, self.flat

    def finish(self) -> Graph:
        """The graph, without steps around float ones that nothing came to read."""
        steps = dict(self.steps)
        for step in reversed(self.steps.values()):
            read = {name for other in steps.values() for name in other.inputs} | {self.output}
            if step.name not in read and (step.op in ("quantise", *REAL) or (step.op == "input" and self.reals)):
                del steps[step.name]
        return Graph(tuple(steps.values()), self.output)

    def between_floats(self) -> frozenset[str]:
        """Nodes without weights whose codes are read by float steps only, and are made of rounded real numbers."""
        graph = self.finish()
        lonely = {
            step.name
            for step in graph.steps
            if step.op in ("add", "multiply", "concat", "average_pool", "max_pool", "flatten")
            and any(graph[name].op in ("quantise", "input") for name in step.inputs)
            and {reader.op for reader in graph.readers(step.name)} == {"float"}
        }
        return frozenset(node.name for node, name in self.stands.items() if name in lonely)

    def _step_of(self, source: object, user: fx.Node) -> str:
        """The step of a value that a node reads."""
        held, other = (self.rowed, self.stands) if self.in_rows else (self.stands, self.rowed)
        if isinstance(source, fx.Node) and source in held:
            return held[source]
        if isinstance(source, fx.Node) and source.op == "get_attr":
            raise self._refusal(user, f"{self._called(user)} with a tensor of the network's own")
        if (
            self.floats is None
            or not isinstance(source, fx.Node)
            or source in other
            or not self.floats.values.is_coded(source, in_rows=self.in_rows)
        ):
            raise self._refusal(user, f"the arguments of {user.name}" if self.floats is None else self._called(user))
        return self._coded(source)

    def _source(self, node: fx.Node) -> str:
        return self._step_of(node.args[0] if node.args else None, node)

    def _goes_on(self, node: fx.Node) -> bool:
        """Whether a node without weights is part of the float step before it, or of the function before it.

        So it is where float steps give all that it reads, or where it makes a longer function of single numbers.
        """
        assert self.floats is not None  # noqa: S101 (the caller has looked)
        shapes = self.floats.values.shapes
        read = [one for one in node.all_input_nodes if one.name in shapes and one.op != "get_attr"]
        coded = {*self.stands, *self.rowed}
        open_ones = [one for one in read if one in self.floats.reasons and (one not in coded or one in self.reals)]
        if not open_ones:
            return False
        if self._is_curve(node):
            return True
        return len(open_ones) == len(read) and not any(self._is_curve(one) for one in open_ones)

    def _part(self, node: fx.Node) -> tuple[list[fx.Node], list[fx.Node]]:
        """The values with steps that a node is made of, and the nodes in between."""
        assert self.floats is not None  # noqa: S101 (what has no step is refused without)
        return self.floats.part(node, {one for one in self.stands if one not in self.pads} | {*self.reals, *self.rowed})

    def _is_curve(self, node: fx.Node) -> bool:
        """Whether a node makes a function of the single numbers of one value of codes."""
        assert self.floats is not None  # noqa: S101 (what has no step is refused without)
        read, inside = self._part(node)
        return self.floats.is_curve(inside, read) and read[0] in (self.rowed if self.in_rows else self.stands)

    def _put(self, node: fx.Node, step: Step) -> None:
        self.steps[step.name] = step
        self._stand(node, step.name)
        self.users[step.name] = len(node.users)

    def _stand(self, node: fx.Node, name: str) -> None:
        """Let a step stand for a node."""
        (self.rowed if self.in_rows else self.stands)[node] = name

    def _fusible(self, node: fx.Node, source: str, ops: tuple[str, ...]) -> Step | None:
        """The step before, where nothing else reads it and nothing follows in it yet."""
        step = self.steps[source]
        first = node.args[0]
        alone = isinstance(first, fx.Node) and len(first.users) == 1 and self.users.get(source) == 1
        return step if alone and step.op in ops and step.clip.is_none else None

    def _is_flat(self, name: str) -> bool:
        """Whether a step gives rows, (n, features)."""
        step = self.steps[name]
        return step.op == "flatten" or name in self.flat or any(self._is_flat(source) for source in step.inputs)

    def _float(self, node: fx.Node) -> str:
        """The float32 step that makes a node's value."""
        assert self.floats is not None  # noqa: S101 (what has no step is refused without)
        if node in self.reals:
            return self.reals[node]
        if node.op == "placeholder":
            name = f"{node.name}_given"
            self.steps[name] = Step(name, "given", place=self.arguments[node], argument=str(node.target))
        else:
            read, inside = self._part(node)
            name = f"{node.name}_float"
            names, layouts = [], dict[fx.Node, str]()
            for one in read:
                is_real = one in self.reals or one.op == "placeholder"
                names.append(self._float(one) if is_real else self.stands.get(one) or self.rowed[one])
                if one in self.rowed and one not in self.stands and not is_real:
                    layouts[one] = "rows"
                elif self.series and not is_real and not self._is_flat(names[-1]):
                    layouts[one] = "series"
            part, reasons = self.floats.module(read, inside, layouts), self.floats.told(inside)
            self.steps[name] = Step(name, "float", tuple(names), part=part, reasons=reasons)
        self.reals[node] = name
        return name

    def _coded(self, node: fx.Node) -> str:
        """The step that makes the codes of a node without an integer form: a table, or a float step's, rounded."""
        assert self.floats is not None  # noqa: S101 (what has no step is refused without)
        if self._is_curve(node):
            read, inside = self._part(node)
            source = (self.rowed if self.in_rows else self.stands)[read[0]]
            self._put(node, Step(node.name, "table", (source,), curve=self.floats.curve(read[0], inside)))
        else:
            series = self.series and len(self.floats.values.shapes[node.name]) > ROWS
            self._put(node, Step(node.name, "quantise", (self._float(node),), series=series, rows=self.in_rows))
            if not series and len(self.floats.values.shapes[node.name]) == ROWS:
                self.flat.add(node.name)
        return node.name

    def _refusal(self, node: fx.Node, what: str) -> UnsupportedNetworkError:
        return RefusalError(what, node.name)

    def _called(self, node: fx.Node) -> str:
        """A node in words."""
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            return str(getattr(module, "called", f"the {type(module).__name__} {node.target}"))
        return str(getattr(node.target, "__name__", node.target))
