"""Parts of a quantised network that make one node: they read one value, and hand out one.

A part begins with a QuantizeLinear of float32, or with codes that are read from outside, and takes in every step all of
whose inputs it has; then the longest beginning of it of which only the last value is read from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from exporters.qdq.find import Found
from exporters.qdq.grid import is_dequantize
from exporters.qdq.read import is_reshape
from exporters.qdq.steps import QUANTIZE, Code, Step

MOST_STEPS = 126
"""Stages of a QSequence but for its first and last."""
PRODUCTS = frozenset(("QConv", "QDepthwiseConv", "QGemm"))


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a network. entry: the codes that it starts with. begin: the step Quantize that makes them, if one does.

    steps: in order, without Quantize.
    """

    entry: Code
    begin: Step | None
    steps: tuple[Step, ...]

    @property
    def products(self) -> list[Step]:
        """The steps that have a weight."""
        return [step for step in self.steps if step.op in PRODUCTS]


def find_regions(found: Found, most_products: int = MOST_STEPS) -> list[Region]:
    """Cut a network into parts, in the graph's order; a step of two values from different parts is in none.

    most_products: that a part may have; with 1 each layer is a part of its own, with the steps that follow it.
    """
    every = {node for step in found.steps for node in step.covers}
    steps = _living(found, every)
    living = set(steps)
    dead = {node for step in found.steps if step not in living for node in step.covers}
    placed, regions = set[Step](), list[Region]()
    for step in steps:
        entries = {step.output} if step.op == QUANTIZE else set(step.reads)
        if step in placed or len(entries) != 1:
            continue
        entry = entries.pop()
        if entry is None or entry.inner:
            continue
        left = [one for one in steps if one not in placed]
        longest = _longest(entry, left, found, dead, most_products)
        if longest:
            regions.append(Region(entry, step if step.op == QUANTIZE else None, tuple(longest)))
            placed.update(longest)
    return regions


def _living(found: Found, covered: set[ir.Node]) -> list[Step]:
    """The steps without those all of whose readers look up in what they look up in themselves."""
    living, read = list[Step](), set[Code]()
    for step in reversed(found.steps):
        if step.output is None or step.output in read or _outside(step.output, covered, found):
            living.insert(0, step)
            read.update(step.reads)
    return living


def _longest(entry: Code, steps: Sequence[Step], found: Found, dead: set[ir.Node], most_products: int) -> list[Step]:
    taken, made, best, products = list[Step](), {entry}, 0, 0
    for step in steps:
        if step.op != QUANTIZE and all(code in made for code in step.reads) and len(taken) < MOST_STEPS:
            products += step.op in PRODUCTS
            if products > most_products:
                break
            taken.append(step)
            if step.output is not None:
                made.add(step.output)
    covered = set(dead)
    for count in range(1, len(taken) + 1):
        inside = taken[:count]
        covered.update(inside[-1].covers)
        still = {code for step in steps if step not in inside for code in step.reads}
        handed_out = [
            step
            for step in inside
            if step.output is None or step.output in still or _outside(step.output, covered, found)
        ]
        last = inside[-1].output
        if handed_out == [inside[-1]] and not (last is not None and last.inner):
            best = count
    return taken[:best]


def _outside(code: Code, covered: set[ir.Node], found: Found) -> bool:
    """Whether a node that is not ``covered``, or the network's user, reads the codes."""
    waiting = [code.value]
    while waiting:
        value = waiting.pop()
        if value.is_graph_output():
            return True
        for use in value.uses():
            if use.node in covered:
                continue
            if not (is_dequantize(use.node) or is_reshape(use.node) or use.node in found.through):
                return True
            waiting += use.node.outputs
    return False
