"""Scales that the kernels can go by: sums and steps of an output that stay far from the ends of int32 and float32."""

from __future__ import annotations

import math

import numpy as np

from exporters.qdq.constants import Unfit
from exporters.qdq.steps import Step
from exporters.weights.dtypes import Array

_MOST_STEPS = 2.0**30
_MOST_RATIO = 2.0**20
_PRODUCT = 64
"""A product of two codes stays below 2^30 steps where its scale is at most 2^14 of the output's."""
_LEAST = np.float32(np.finfo(np.float32).tiny)


def check_ranges(step: Step) -> None:
    """Raise Unfit where the library would refuse a step, as no number of a real network is of such a size.

    docs/file-format.md, Quantised networks, has the rules.
    """
    grids = [code.grid for code in (*step.reads, *([] if step.output is None else [step.output]))]
    scales = [grid.scale for grid in grids] + ([] if step.weight is None else [step.weight.scales.min(initial=1)])
    if min(scales) < _LEAST:
        raise Unfit("a scale is too small for a float32 number without loss")
    if step.output is None or not step.reads:
        return
    target = step.output.grid.scale
    with np.errstate(over="ignore"):
        if step.weight is not None and step.bias is not None:
            factors = step.reads[0].grid.scale * step.weight.scales.astype(np.float32) / target
            fits = bool(np.all(factors * _largest_sums(step.weight.values, step.bias) < _MOST_STEPS))
        elif step.op == "QMul":
            fits = bool(step.reads[0].grid.scale * step.reads[1].grid.scale * _PRODUCT / target < _MOST_RATIO)
        else:
            ratios = [float(code.grid.scale / target) for code in step.reads]
            fits = step.op not in ("QAdd", "QGlobalAveragePool") or max(ratios) < _MOST_RATIO
    if not fits:
        raise Unfit("its input may be too many steps of its output's scale")


def _largest_sums(weight: Array, bias: Array) -> Array:
    """|bias| + 255 Σ|w| of each output, as the library bounds them."""
    columns = math.prod(weight.shape[1:])
    sizes = np.abs(weight.reshape(len(weight), columns).astype(np.int64)).sum(1)
    found: Array = (np.abs(bias.astype(np.int64)) + 255 * sizes).astype(np.float32)
    return found
