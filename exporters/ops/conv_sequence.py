"""ConvSequence: layers of a network, each small, as one node.

Stage i has the inputs and attributes of its op, their names followed by _i; X is the node's own. What a stage reads,
and adds if it has a residual, is said by the attribute ``stages``: ``DenseConv:0 CsrConv:1 CsrConvAdd:2+1``, where
value 0 is X and value i + 1 what stage i makes. The last stage makes Y.

A function body cannot depend on an attribute, so that each such text has a body of its own: the text is the node's, and
the function's, overload as well. Many readers (ONNX Runtime before 1.27, onnx.reference) find a function by its name
alone and take the last of two overloads, so that each text of a file also has a name of its own: `NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from exporters.ops._op import EdgeOp, Part, stages_op
from exporters.ops.block_csr_conv import BLOCK_CSR_CONV_ADDS, BLOCK_CSR_CONVS
from exporters.ops.csr_conv import CSR_CONVS
from exporters.ops.csr_conv_add import CSR_CONV_ADDS
from exporters.ops.dense_conv import DENSE_CONVS
from exporters.ops.depthwise_conv import DEPTHWISE_CONVS
from exporters.ops.nm_conv import NM_CONV_ADDS, NM_CONVS

NAMES = ("ConvSequence", *(f"ConvSequence{number}" for number in range(2, 17)))
"""Names of the op, one for each text in a file; the kernels know these."""
MOST_STAGES = 64
MOST_TEXT = 4095
"""Characters of the text; the kernels hold no more."""

STAGES = {
    op.name: op
    for op in (
        *BLOCK_CSR_CONVS,
        *BLOCK_CSR_CONV_ADDS,
        *CSR_CONVS,
        *CSR_CONV_ADDS,
        *DENSE_CONVS,
        *DEPTHWISE_CONVS,
        *NM_CONVS,
        *NM_CONV_ADDS,
    )
}
_STAGE = re.compile(r"([A-Za-z]{1,40}):([0-9]{1,2})(?:\+([0-9]{1,2}))?")


def sequence_text(stages: Sequence[tuple[str, int, int | None]]) -> str:
    """The text of stages: names of ops, which value each reads, which it adds."""
    return " ".join(f"{op}:{source}" + ("" if added is None else f"+{added}") for op, source, added in stages)


@lru_cache(maxsize=64)
def sequence_op(text: str, name: str) -> EdgeOp | None:
    """The op of a text under one of the `NAMES`; None for an invalid text."""
    words = text.split(" ")
    if len(text) > MOST_TEXT or not 1 <= len(words) <= MOST_STAGES:
        return None
    parts: list[Part] = []
    for index, word in enumerate(words):
        found = _STAGE.fullmatch(word)
        op = STAGES.get(found[1]) if found else None
        if found is None or op is None or (found[3] is None) == ("residual" in op.inputs):
            return None
        part = Part(op, f"_{index}", int(found[2]), None if found[3] is None else int(found[3]))
        if max(part.source, part.residual or 0) > index:
            return None
        parts.append(part)
    return stages_op(name, text, None, parts)
