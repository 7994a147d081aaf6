"""QSequence: a part of an int8 network as one node, float32 NCHW outside.

The attribute ``stages`` names the op of each stage, which value it reads, and the second one of a sum or product:
``Quantize:0 QDenseConv:1 QBlockConv:2 QAdd:3+2 Dequantize:4``, where value 0 is X and value i + 1 what stage i makes.
Between the first stage, Quantize, and the last one, which makes float32, values are uint8 codes of a grid: scale and
zero point, which the stage that makes the value states. Inputs and attributes of stage i are those of its op, their
names followed by ``_i``.

Names and overloads are as those of ConvSequence, and for its reasons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import onnx

from exporters.ops import _q_text as text_of
from exporters.ops._op import EdgeOp, Part, renamed
from exporters.ops._text import DOMAIN, WINDOW, function

NAMES = ("QSequence", *(f"QSequence{number}" for number in range(2, 17)))
"""Names of the op, one for each text in a file; the kernels know these."""
MOST_STAGES = 128
MOST_TEXT = 4096
"""Characters of the text; the kernels hold no more."""

OPSET = 19
"""Of the bodies: onnx.reference has QuantizeLinear and DequantizeLinear from here on, ONNX Runtime since 1.15."""

GRID = ("y_scale", "y_zero")
_PRODUCTS = ("w_scale", "bias")
_BLOCKS = ("values", "col_idx", "row_ptr", "weight_shape")
_READ = ("X", "x_scale", "x_zero")
_READ_BOTH = (*_READ, "second", "second_scale", "second_zero")
_POOL = ("kernel_shape", "strides", "pads")


def _stage(
    name: str, body: str, constants: Sequence[str] = (), read: Sequence[str] = _READ, *attributes: str
) -> EdgeOp:
    inputs = (*read, *constants)
    return EdgeOp(name, None, inputs, tuple(constants), function(name, attributes, inputs, body))


_BLOCK_CONV = (*_BLOCKS, *_PRODUCTS, *GRID)
_DENSE_CONV = ("W", *_PRODUCTS, *GRID)
STAGES = {
    op.name: op
    for op in (
        _stage("Quantize", text_of.QUANTIZE, GRID, ("X",)),
        _stage("Dequantize", text_of.DEQUANTIZE),
        _stage("QBlockConv", text_of.BLOCKS_TO_INT8 + text_of.CONV, _BLOCK_CONV, _READ, *WINDOW),
        _stage("QDenseConv", text_of.CONV, _DENSE_CONV, _READ, *WINDOW),
        _stage("QDepthwiseConv", text_of.DEPTHWISE_CONV, _DENSE_CONV, _READ, *WINDOW, "group"),
        _stage("QBlockGemm", text_of.BLOCKS_TO_INT8 + text_of.GEMM, _BLOCK_CONV),
        _stage("QDenseGemm", text_of.GEMM, _DENSE_CONV),
        _stage("QBlockGemmFloat", text_of.BLOCKS_TO_INT8 + text_of.GEMM_FLOAT, (*_BLOCKS, *_PRODUCTS)),
        _stage("QDenseGemmFloat", text_of.GEMM_FLOAT, ("W", *_PRODUCTS)),
        _stage("QAdd", text_of.ADD, GRID, _READ_BOTH),
        _stage("QMul", text_of.MUL, GRID, _READ_BOTH),
        _stage("QGlobalAveragePool", text_of.GLOBAL_AVERAGE_POOL, GRID),
        _stage("QMaxPool", text_of.MAX_POOL, (), _READ, *_POOL),
        _stage("QTable", text_of.TABLE, ("table", *GRID), ("X",)),
    )
}
FLOAT_STAGES = ("Dequantize", "QBlockGemmFloat", "QDenseGemmFloat")
"""Stages that make float32 and no codes: one of them is the last stage, and no other is."""
_STAGE = re.compile(r"([A-Za-z]{1,40}):([0-9]{1,3})(?:\+([0-9]{1,3}))?")


def q_sequence_text(stages: Sequence[tuple[str, int, int | None]]) -> str:
    """The text of stages: names of ops, which value each reads, and the second one."""
    return " ".join(f"{op}:{source}" + ("" if second is None else f"+{second}") for op, source, second in stages)


@lru_cache(maxsize=64)
def q_sequence_op(text: str, name: str) -> EdgeOp | None:
    """The op of a text under one of the `NAMES`; None for an invalid text."""
    words = text.split(" ")
    if len(text) > MOST_TEXT or not 2 <= len(words) <= MOST_STAGES:
        return None
    parts: list[Part] = []
    for index, word in enumerate(words):
        found = _STAGE.fullmatch(word)
        op = STAGES.get(found[1]) if found else None
        if found is None or op is None or (found[3] is None) == ("second" in op.inputs):
            return None
        part = Part(op, f"_{index}", int(found[2]), None if found[3] is None else int(found[3]))
        first, final = index == 0, index == len(words) - 1
        if first != (op.name == "Quantize") or final != (op.name in FLOAT_STAGES):
            return None
        read = [part.source] if part.residual is None else [part.source, part.residual]
        if min(read) < (not first) or max(read) > index:  # only the first stage reads X
            return None
        parts.append(part)
    plain = q_sequence_text([(part.op.name, part.source, part.residual) for part in parts])
    return _op(name, text, parts) if plain == text else None  # no numbers such as 01


def _op(name: str, text: str, parts: Sequence[Part]) -> EdgeOp:
    constants = tuple(key + part.suffix for part in parts for key in part.op.constants)
    body = onnx.FunctionProto(name=name, domain=DOMAIN, overload=text, input=("X", *constants), output=["Y"])
    body.opset_import.add(domain="", version=OPSET)
    values = ["X", *(f"Y{part.suffix}" for part in parts[:-1]), "Y"]
    grids, shared = [0], set[str]()  # of each value: the stage that states its grid; constants that are there
    for index, part in enumerate(parts):
        grids.append(index if set(GRID) <= set(part.op.constants) else grids[part.source])
        outer = {"X": values[part.source], "Y": values[index + 1], "": ""}
        outer |= {f"x_{key}": f"y_{key}_{grids[part.source]}" for key in ("scale", "zero")}
        if part.residual is not None:
            outer["second"] = values[part.residual]
            outer |= {f"second_{key}": f"y_{key}_{grids[part.residual]}" for key in ("scale", "zero")}
        for node in part.op.function.node:
            if node.op_type == "Constant":  # once for all stages: they are a third of a body
                outer[node.output[0]] = node.output[0]
                if node.output[0] in shared:
                    continue
                shared.add(node.output[0])
            body.node.append(renamed(node, outer, part.suffix))
        body.attribute.extend(key + part.suffix for key in part.op.function.attribute)
    return EdgeOp(name, None, ("X", *constants), constants, body, tuple(parts))
