"""A quantised layer as its candidate, its stage, its stored weight and its row of a report."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np
import onnx_ir as ir

from exporters.layers import ExportedLayer
from exporters.layers.graph import constant
from exporters.qdq.constants import Weight
from exporters.qdq.info import QuantisedCandidate, QuantisedDecision, QuantisedFormat
from exporters.qdq.steps import Step
from exporters.weights import blocks, nibbles
from exporters.weights.dtypes import Array


def candidate(step: Step) -> QuantisedCandidate:
    """Describe a layer for ``select``."""
    weight = _weight(step).values
    heights: dict[QuantisedFormat, int] = {} if step.op == "QDepthwiseConv" else {"1x4": 1, "2x4": 2}
    window = (*weight.shape[2:], 1, 1)[:2]
    stride = cast("tuple[int, int]", step.attributes.get("strides", (1, 1)))
    nnz = int(np.count_nonzero(weight))
    return QuantisedCandidate(
        name=step.name,
        op=step.op,
        out_channels=weight.shape[0],
        in_channels=weight.shape[1],
        kernel=(window[0], window[1]),
        stride=(stride[0], stride[1]),
        out_pixels=step.out_pixels,
        nnz=nnz,
        sparsity=1 - nnz * step.groups / weight.size,
        blocks={name: blocks.count(weight, rows) / _all_blocks(weight, rows) for name, rows in heights.items()},
        groups=step.groups,
    )


def op_of_stage(step: Step, decision: QuantisedDecision | None) -> str:
    """The stage's op, of QSequence."""
    if step.op not in ("QConv", "QGemm") or decision is None:
        return step.op
    form = "Dense" if decision.format == "dense" else "Block"
    return f"Q{form}{step.op[1:]}{'Float' if step.output is None else ''}"


def stored_weight(step: Step, decision: QuantisedDecision) -> dict[str, Array]:
    """The inputs of a stage that are its weight and bias, by the names that the op gives them."""
    weight = _weight(step)
    assert step.bias is not None  # noqa: S101 (a layer has one)
    rest = {"w_scale": weight.scales, "bias": step.bias}
    if decision.format == "dense" or step.op == "QDepthwiseConv":
        return {"W": weight.values, **rest}
    stored = blocks.from_dense(weight.values, int(decision.format[0]))
    parts = {"values": stored.values, "col_idx": stored.col_idx, "row_ptr": stored.row_ptr}
    return {**parts, "weight_shape": np.array(stored.shape, np.int64), **rest}


def report(step: Step, decision: QuantisedDecision, why_not: str) -> ExportedLayer:
    """A layer's row; why_not: why it stays standard ONNX, empty where it does not."""
    weight = _weight(step).values
    arrays = stored_weight(step, replace(decision, format="dense") if why_not else decision)
    size, nnz = weight.size // step.groups, int(np.count_nonzero(weight))
    held, stored = arrays.get("values", weight).size, sum(nibbles.stored_bytes(array) for array in arrays.values())
    if why_not:  # the file's own weight, without zeros between groups
        held, stored = size, stored - nibbles.stored_bytes(weight) * (step.groups - 1) // step.groups
    dense = "depthwise" if step.op == "QDepthwiseConv" else "dense"
    return ExportedLayer(
        name=step.name,
        op=op_of_stage(step, decision) if not why_not else step.op[1:].replace("DepthwiseConv", "Conv"),
        shape=(weight.shape[0], weight.shape[1] // step.groups, *weight.shape[2:]),
        sparsity=1 - nnz / size,
        nnz=nnz,
        format=dense if why_not or "W" in arrays else decision.format,
        reason=f"{decision.reason}; {why_not}" if why_not else decision.reason,
        bytes_dense=4 * size + 4 * len(weight),
        bytes=stored,
        macs_dense=size * step.out_pixels,
        macs=held * step.out_pixels,
    )


def report_unfit(node: ir.Node, reason: str) -> ExportedLayer | None:
    """The row of a layer that no step does; None where its weight is no constant."""
    value = node.inputs[1]
    while value is not None and constant(value) is None:
        made = value.producer()
        value = None if made is None or not made.inputs else made.inputs[0]
    weight = constant(value)
    if weight is None or weight.ndim < 2:
        return None
    outputs = weight.shape[-1] if node.op_type == "MatMul" else weight.shape[0]
    nnz, size = int(np.count_nonzero(weight)), 4 * (weight.size + outputs)
    return ExportedLayer(
        name=node.name or node.op_type,
        op=node.op_type,
        shape=tuple(weight.shape),
        sparsity=1 - nnz / weight.size,
        nnz=nnz,
        format="dense",
        reason=reason,
        bytes_dense=size,
        bytes=weight.nbytes + 4 * outputs,
        macs_dense=0,
        macs=0,
    )


def _weight(step: Step) -> Weight:
    assert step.weight is not None  # noqa: S101 (a layer has one)
    return step.weight


def _all_blocks(weight: Array, height: int) -> int:
    rows, groups = -(-weight.shape[0] // height), -(-weight.shape[1] // blocks.WIDTH)
    return int(rows * groups * math.prod(weight.shape[2:]))
