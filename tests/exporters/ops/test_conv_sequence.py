"""The text that says what a sequence's stages read and add."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.ops import find_op
from exporters.ops.conv_sequence import MOST_STAGES, STAGES, sequence_op, sequence_text


@st.composite
def stages(draw: st.DrawFn) -> list[tuple[str, int, int | None]]:
    found: list[tuple[str, int, int | None]] = []
    for index in range(draw(st.integers(1, 8))):
        op = draw(st.sampled_from(sorted(STAGES)))
        added = draw(st.integers(0, index)) if "residual" in STAGES[op].inputs else None
        found.append((op, draw(st.integers(0, index)), added))
    return found


@settings(max_examples=30)
@given(stages())
def test_a_text_means_its_stages(given_stages: list[tuple[str, int, int | None]]) -> None:
    text = sequence_text(given_stages)
    op = sequence_op(text, "ConvSequence")
    assert op is not None
    assert [(part.op.name, part.source, part.residual) for part in op.parts] == given_stages
    assert op.function.overload == text
    assert find_op("ConvSequence", text) is op
    assert len(set(op.inputs)) == len(op.inputs) == 1 + sum(len(part.op.constants) for part in op.parts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "CsrConv",
        "CsrConv:",
        "CsrConv:1",  # what it makes itself
        "CsrConv:0 CsrConv:2",
        "CsrConv:0  CsrConv:1",
        "CsrConv:0 ",
        "CsrConv:-1",
        "CsrConv:0+0",  # has no residual
        "CsrConvAdd:0",  # has one
        "CsrConvAdd:0+1",
        "CsrConv:٠",  # a digit, but none of ASCII's
        "CsrGemm:0",
        "ConvSequence:0",
        "ConvChainDP:0",
        "Conv:0",
        "CsrConv:0\n",
        " ".join(["CsrConv:0"] * (MOST_STAGES + 1)),
        "CsrConv:" + "0" * 5000,
    ],
)
def test_other_texts_mean_nothing(text: str) -> None:
    assert sequence_op(text, "ConvSequence") is None
