"""Cost of an int8 layer on a target: rates for a multiply-add and an output in each form, measured."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TABLES = Path(__file__).parent / "cost_tables"


@dataclass(frozen=True)
class Gathered:
    """Inputs that a convolution copies before it multiplies: for its windows' taps, and to split planes by steps."""

    taps: int = 0
    split: int = 0


NOTHING = Gathered()


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
    gathered: float = 0.0
    """Of an input that is brought together with others for a window larger than 1x1."""
    split: float = 0.0
    """Of an input that is picked out of its plane for a step of more than one."""
    onnxruntime: Mapping[str, float] = field(default_factory=dict)
    """The same of ONNX Runtime's own int8: ``dense``, ``depthwise``, ``output``, ``stage``; empty if not measured."""

    def layer(self, form: str, macs: int, outputs: int, gathered: Gathered = NOTHING) -> float:
        """Cost of a convolution without groups or a linear layer; gathered: of `gathered_inputs`."""
        copied = self.gathered * gathered.taps + self.split * gathered.split
        return self.products[form] * macs + self.output * outputs + copied + self.stage

    def depthwise_layer(self, macs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> float:
        """Cost of a convolution with groups, whose inputs are read in place, those between the steps too."""
        return self.layer("depthwise", macs, outputs, depthwise_inputs(outputs, stride))

    def onnxruntime_layer(self, form: str, macs: int, outputs: int) -> float:
        """Cost of a layer in ONNX Runtime's own int8; infinite where it was not measured."""
        own = self.onnxruntime
        return own[form] * macs + own["output"] * outputs + own["stage"] if own else math.inf

    def elements(self, count: int) -> float:
        """Cost of a step without weights that makes so many values."""
        return self.element * count + self.stage


def depthwise_inputs(outputs: int, stride: tuple[int, int]) -> Gathered:
    """Inputs that a convolution with groups brings together."""
    return Gathered(outputs * stride[0] * stride[1])


def gathered_inputs(channels: int, kernel: tuple[int, int], stride: tuple[int, int], out_pixels: int) -> Gathered:
    """Inputs that a convolution copies: a window's as often as it has taps, those of a step once for each phase."""
    taps, steps = kernel[0] * kernel[1], stride[0] * stride[1]
    phases = min(kernel[0], stride[0]) * min(kernel[1], stride[1])
    pixels = channels * out_pixels
    return Gathered(pixels * taps if taps > 1 else 0, pixels * phases if steps > 1 else 0)


@functools.cache
def load_int8_rates(target: str) -> Int8Rates:
    """The rates of a target, made by benchmarks/int8_costs.py."""
    table = json.loads((_TABLES / f"{target}.int8.json").read_text(encoding="utf-8"))
    return Int8Rates(
        unit=table["unit"],
        products=table["products"],
        output=table["output"],
        element=table["element"],
        stage=table["stage"],
        gathered=table.get("gathered", 0.0),
        split=table.get("split", 0.0),
        onnxruntime=table.get("onnxruntime", {}),
    )
