"""Recognition of a quantised network's steps: what stands between DequantizeLinear and QuantizeLinear.

Clip, Relu before a QuantizeLinear  → nothing where the grid ends there, else a QTable that clamps the codes
product                             → QConv, QDepthwiseConv, QGemm (:mod:`exporters.qdq.products`)
Add, Mul of two                     → QAdd, QMul; of a value and what is looked up in it, a QTable
GlobalAveragePool, ReduceMean, AveragePool of the whole image → QGlobalAveragePool
MaxPool                             → QMaxPool
any element-wise ops of one value   → QTable; one that keeps all codes is left out

A QuantizeLinear behind anything else is a step Quantize, with which a part of the network may begin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from exporters.layers.graph import constant, only_user
from exporters.qdq.clips import before_clips, before_rounding, bounds_of
from exporters.qdq.constants import Unfit
from exporters.qdq.grid import Grid, grid_of, is_dequantize, is_quantize
from exporters.qdq.pools import POOLS
from exporters.qdq.products import product_behind, read_product
from exporters.qdq.ranges import check_ranges
from exporters.qdq.read import FLOAT, codes_behind, image_of, is_reshape, view_of
from exporters.qdq.steps import QUANTIZE, Code, Step
from exporters.qdq.tables import BINARY, CODES, UNARY, evaluate, product_table
from exporters.weights.dtypes import Array


@dataclass(eq=False)
class Found:
    """Steps of a graph in order. unfit: for each node with a weight that none of them does, why not."""

    steps: list[Step] = field(default_factory=list)
    through: set[ir.Node] = field(default_factory=set)
    """Nodes that leave codes as they are: who reads what they make reads what they read."""
    unfit: dict[ir.Node, str] = field(default_factory=dict)


def find_steps(graph: ir.Graph) -> Found:
    """Find the steps of a graph whose values have shapes; equal roundings of one value become one."""
    _merge_roundings(graph)
    return _Finder(graph).find()


def _merge_roundings(graph: ir.Graph) -> None:
    """Let the readers of several QuantizeLinear of one value and one grid read the first."""
    first: dict[tuple[ir.Value | None, Grid], ir.Value] = {}
    for node in graph:
        grid = grid_of(node) if is_quantize(node) and not node.outputs[0].is_graph_output() else None
        if grid is None:
            continue
        kept = first.setdefault((node.inputs[0], grid), node.outputs[0])
        if kept is not node.outputs[0]:
            node.outputs[0].replace_all_uses_with(kept)
            graph.remove(node, safe=True)


class _Finder:
    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._order = {node: index for index, node in enumerate(graph)}
        self._codes: dict[ir.Value, Code] = {}
        self._found = Found()

    def find(self) -> Found:
        for node in self._graph:
            if is_quantize(node) and constant(node.inputs[0]) is None:
                self._quantize(node)
            elif node.op_type == "MaxPool" and not node.domain and node.inputs[0] in self._codes:
                self._pool_of_codes(node)
            elif is_reshape(node) and node.inputs[0] in self._codes:
                self._codes[node.outputs[0]] = self._codes[node.inputs[0]]
            elif node.op_type == "Gather" and not node.domain:
                self._gather(node)
            elif is_dequantize(node):
                self._input_of_codes(node)
            else:
                self._real_end(node)
        return self._found

    def _quantize(self, node: ir.Node) -> None:
        grid = grid_of(node)
        real = node.inputs[0]
        product = None if real is None else product_behind(before_clips(real)[0])
        try:
            if grid is None or real is None:
                raise Unfit("it is rounded to a grid that no int8 op of ours has")
            steps = self._steps(node, real, grid)
            for step in steps:
                check_ranges(step)
            for step in steps:
                self._add(step)
        except Unfit as why:
            if product is not None:
                self._found.unfit[product.node] = str(why)
            if grid is not None and real is not None:
                self._begin(node.outputs[0], grid, real, (node,))

    def _begin(self, value: ir.Value, grid: Grid, real: ir.Value, covers: tuple[ir.Node, ...]) -> None:
        """A step Quantize, where sizes are fixed."""
        try:
            shape, rank = image_of(real), len(view_of(real)) + 1
        except Unfit:
            return
        code = Code(value, grid, shape, rank)
        self._add(Step(QUANTIZE, value.name or "", (), code, covers, real=real))

    def _add(self, step: Step) -> None:
        assert step.output is not None  # noqa: S101 (all but those of _real_end have one)
        if step.output in step.reads:
            self._found.through.update(step.covers)
        else:
            self._codes[step.output.value] = step.output
            self._found.steps.append(step)

    def _steps(self, node: ir.Node, real: ir.Value, grid: Grid) -> list[Step]:
        """The steps whose last one makes the codes of a QuantizeLinear. Raises Unfit."""
        core, clips = before_clips(real)
        target = Code(node.outputs[0], grid, image_of(real), len(view_of(real)) + 1)
        made = self._core(core, target)
        if made is None:
            return [self._table(real, target, node)]
        if any(only_user(value) is None for value in (core, *(clip.outputs[0] for clip in clips))):
            raise Unfit("what it makes is read before it is rounded")
        made[-1] = replace(made[-1], covers=(*made[-1].covers, *clips, node))
        low, high = (int(code) for code in grid.codes(bounds_of(clips)))
        if (low, high) == (0, 255) or made[-1].op == "QTable":
            table = np.clip(made[-1].table, low, high) if made[-1].table is not None else None
            return [*made[:-1], replace(made[-1], table=table)]
        # Rounding keeps order: the code of a clipped number is the clipped code.
        inner = replace(target, value=core, inner=True)
        made[-1] = replace(made[-1], output=inner)
        return [*made, self._looked_up(made[-1].name, inner, np.clip(CODES, low, high), target, ())]

    def _core(self, core: ir.Value, target: Code) -> list[Step] | None:
        """The steps that make a value before clips; None where there may be element-wise ops alone."""
        product = product_behind(core)
        if product is not None:
            return [replace(read_product(product, self._codes, target.shape[0]), output=target)]
        node = core.producer()
        if node is None or node.domain:
            raise Unfit(FLOAT)
        if node.op_type in ("Add", "Mul"):
            return self._pair(node, target)
        if node.op_type not in POOLS:
            return None
        code, covers = codes_behind(node.inputs[0], self._codes)
        if view_of(node.inputs[0]) != code.shape:
            raise Unfit("it pools what is no image")
        op, attributes = POOLS[node.op_type](node, code)
        if op == "QGlobalAveragePool" and target.shape != (code.shape[0], 1, 1):
            raise Unfit("it is an average over a part of the image")
        step = Step(op, node.name or op, (code,), target, (*covers, node), attributes=attributes)
        if op == "QGlobalAveragePool" or target.grid.alike(code.grid):
            return [step]
        # It keeps the grid, and is rounded to another afterwards.
        inner = replace(target, value=node.outputs[0], grid=code.grid, inner=True)
        table = target.grid.codes(code.grid.real(CODES))
        return [replace(step, output=inner), self._looked_up(step.name, inner, table, target, ())]

    def _pair(self, node: ir.Node, target: Code) -> list[Step] | None:
        """Sum or product of two values; None where one of them is a number, or element-wise ops are in between."""
        if any(constant(value) is not None or _is_number(value) for value in node.inputs):
            return None
        if any(value is not None and _is_elementwise(value.producer()) for value in node.inputs):
            return None
        (a, first), (b, second) = (codes_behind(value, self._codes) for value in node.inputs)
        covers, views = (*first, *second, node), [view_of(value) for value in node.inputs]
        if node.op_type == "Add":
            if views[0] != views[1]:
                raise Unfit("it adds values of different sizes")
            return [Step("QAdd", node.name or "Add", (a, b), target, covers)]
        one, two = _table_of(a), _table_of(b)
        if views[0] == views[1] and one[0] is two[0]:  # x times what is looked up in x
            table = product_table(one[1], a.grid, two[1], b.grid, target.grid)
            return [self._looked_up(node.name or "Mul", one[0], table, target, covers)]
        if a.shape != target.shape:
            a, b = b, a
        if a.shape != target.shape or b.shape not in (target.shape, (target.shape[0], 1, 1)) or b.shape[1:] != (1, 1):
            raise Unfit("it multiplies values of which none is a factor a channel")
        return [Step("QMul", node.name or "Mul", (a, b), target, covers)]

    def _table(self, real: ir.Value, target: Code, node: ir.Node) -> Step:
        """The step of a value that element-wise ops make of one value of codes."""
        inner, leaves, waiting = set[ir.Node](), list[ir.Value](), [real]
        while waiting:
            value = waiting.pop()
            made = value.producer()
            if made is not None and _is_number(value):
                inner.add(made)
            elif made is not None and _is_elementwise(made):
                inner.add(made)
                waiting += [one for one in made.inputs if one is not None and constant(one) is None]
            elif value not in leaves:
                leaves.append(value)
        if len(leaves) != 1:
            raise Unfit("it is made of several values")
        code, covers = codes_behind(leaves[0], self._codes)
        if view_of(leaves[0]) != view_of(real) or math.prod(view_of(real)) != code.elements:
            raise Unfit("it changes its size")
        nodes = sorted(inner, key=lambda one: self._order[one])
        numbers = evaluate(nodes, leaves[0], real, CODES, code.grid) if nodes else code.grid.real(CODES)
        if np.any(np.isnan(numbers)):
            raise Unfit("it makes NaN of some codes")
        name = (nodes[-1] if nodes else node).name or "table"
        looked_up = replace(target, shape=code.shape)
        return self._looked_up(name, code, target.grid.codes(numbers), looked_up, (*covers, *nodes, node))

    def _looked_up(self, name: str, code: Code, table: Array, target: Code, covers: Sequence[ir.Node]) -> Step:
        """A table of a value, or of the value that this one is looked up in; the value itself where nothing changes."""
        root, inner = _table_of(code)
        whole = table[inner]
        if root.grid.alike(target.grid) and np.array_equal(whole, CODES):
            self._codes[target.value] = root
            return Step("QTable", name, (root,), root, tuple(covers))
        made = replace(target, root=root, table=whole)
        return Step("QTable", name, (root,), made, tuple(covers), table=whole)

    def _pool_of_codes(self, node: ir.Node) -> None:
        code = self._codes[node.inputs[0]] if node.inputs[0] is not None else None
        try:
            if code is None or view_of(node.inputs[0]) != code.shape:
                return
            op, attributes = POOLS["MaxPool"](node, code)
            output = Code(node.outputs[0], code.grid, image_of(node.outputs[0]))
        except Unfit:
            return
        self._add(Step(op, node.name or op, (code,), output, (node,), attributes=attributes))

    def _gather(self, node: ir.Node) -> None:
        """A table that the file holds: Gather(table, Cast(codes)); its grid is the one that it is read on."""
        table, index = constant(node.inputs[0]), node.inputs[1]
        cast = None if index is None else index.producer()
        source = cast.inputs[0] if cast is not None and cast.op_type == "Cast" and not cast.domain else None
        code = None if source is None else self._codes.get(source)
        read = [use.node for use in node.outputs[0].uses() if is_dequantize(use.node)]
        grid = grid_of(read[0]) if read else None
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        if code is None or code.grid.shift or grid is None or grid.shift or axis or cast is None:
            return
        if table is None or table.dtype != np.uint8 or table.shape != (256,):
            return
        target = Code(node.outputs[0], grid, code.shape, code.rank)
        self._add(self._looked_up(node.name or "table", code, table, target, (cast, node)))

    def _input_of_codes(self, node: ir.Node) -> None:
        """A network's own input of codes becomes float32 first, and codes again inside."""
        value, grid = node.inputs[0], grid_of(node)
        if value is None or not value.is_graph_input() or value in self._codes or grid is None:
            return
        self._begin(value, grid, node.outputs[0], ())

    def _real_end(self, node: ir.Node) -> None:
        """A linear layer whose output stays float32."""
        if node.domain or node.op_type not in ("Conv", "Gemm", "MatMul"):
            return
        value = node.outputs[0]
        after = only_user(value)
        if node.op_type == "MatMul" and after is not None and (added := product_behind(after.outputs[0])):
            value = added.output
        if any(is_quantize(use.node) for use in before_rounding(value).uses()):
            return  # the QuantizeLinear comes, and takes it
        product = product_behind(value)
        assert product is not None  # noqa: S101 (by the types above)
        try:
            step = read_product(product, self._codes, view_of(value)[0])
            if step.op != "QGemm":
                raise Unfit("what it makes is not rounded to integers")
        except Unfit as why:
            self._found.unfit[node] = str(why)
            return
        self._found.steps.append(replace(step, real=value))


def _is_elementwise(node: ir.Node | None) -> bool:
    return node is not None and not node.domain and (node.op_type in UNARY or _is_binary(node))


def _is_binary(node: ir.Node) -> bool:
    """Whether a node is element-wise of two, with constants of one number."""
    arrays = [constant(value) for value in node.inputs]
    return node.op_type in BINARY and all(array is None or array.size == 1 for array in arrays)


def _is_number(value: ir.Value | None) -> bool:
    """Whether a value is a DequantizeLinear of one constant number."""
    node = None if value is None else value.producer()
    array = constant(node.inputs[0]) if node is not None and is_dequantize(node) else None
    return array is not None and array.size == 1


def _table_of(code: Code) -> tuple[Code, Array]:
    """The value that codes are looked up in, and the table; they themselves and all codes where they are not."""
    return (code, CODES) if code.root is None or code.table is None else (code.root, code.table)
