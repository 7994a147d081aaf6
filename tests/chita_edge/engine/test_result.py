from __future__ import annotations

import math

import pytest

from chita_edge.engine.result import DistillationStep, PruneFigures
from chita_edge.network.selection import KeptDense


@pytest.mark.parametrize(("after", "kept"), [(0.25, True), (0.5, False), (0.75, False), (math.inf, False)])
def test_the_closer_network_is_kept_and_the_reason_says_so(after: float, kept: bool) -> None:
    step = DistillationStep.of(0.8, 2, 0.5, after)
    assert step.kept is kept
    assert step.reason.startswith("Distillation of 2 epochs at a sparsity of 80.00% was kept" if kept else "Distill")
    assert ("was not kept; a smaller learning rate" in step.reason) is not kept
    assert step.reason.endswith(
        f"the divergence from the dense network went from 0.5 before it to {after:.4g} after it."
    )


def test_a_divergence_that_is_no_number_is_not_kept() -> None:
    assert not DistillationStep.of(0.8, 1, 0.5, math.nan).kept


def test_what_was_found_is_told_in_sentences() -> None:
    dense = [KeptDense(f"{place}.weight", (2, 2), "Conv2d", "a reason") for place in "ab"]
    figures = PruneFigures(
        "default", "1x4", 0.5, None, (), 3, {}, (), 1, dense=tuple(dense), compared="KL", rewritten=("x folded",)
    )
    assert figures.sentences() == (
        "Outputs are compared by KL.",
        "Rewritten: x folded.",
        "Not pruned, a reason: a.weight (Conv2d), b.weight (Conv2d).",
    )
