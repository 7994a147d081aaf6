"""Cost of an int8 layer on a target: rates for a multiply-add and an output in each form, measured."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TABLES = Path(__file__).parent / "cost_tables"


@dataclass(frozen=True)
class Int8Rates:
    """Rates of one target.

    A layer costs its stored multiply-adds and its outputs times these, and what any node takes: the kernels' loops are
    the same for every shape, so that a few numbers predict them.
    """

    unit: str
    products: Mapping[str, float]
    """Of one multiply-add, by form: ``dense``, ``1x4``, ``2x4`` (stored ones), ``depthwise``."""
    output: float
    """Of making codes of one sum."""
    element: float
    """Of one value of a sum, a pool or a table."""
    stage: float
    """Of each step besides."""

    def layer(self, form: str, macs: int, outputs: int) -> float:
        """Cost of a convolution without groups or a linear layer."""
        return self.products[form] * macs + self.output * outputs + self.stage

    def depthwise_layer(self, macs: int, outputs: int) -> float:
        """Cost of a convolution with groups."""
        return self.layer("depthwise", macs, outputs)

    def elements(self, count: int) -> float:
        """Cost of a step without weights that makes so many values."""
        return self.element * count + self.stage


@functools.cache
def load_int8_rates(target: str) -> Int8Rates:
    """The rates of a target, made by benchmarks/int8_costs.py."""
    table = json.loads((_TABLES / f"{target}.int8.json").read_text(encoding="utf-8"))
    return Int8Rates(table["unit"], table["products"], table["output"], table["element"], table["stage"])
