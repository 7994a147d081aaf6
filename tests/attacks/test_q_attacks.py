"""Hostile QSequence nodes in ONNX Runtime with the kernels: refused in a sentence, whatever a reader let through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from q_attacks import CASES, good

X = np.random.default_rng(0).normal(size=(2, 8, 6, 6)).astype(np.float32)
Attack = Callable[..., dict[str, Any]]


# The kernels have strides of 1 where none are said, and know a depthwise layer's groups from its weight.
MEANT_ALL_THE_SAME = {"no strides", "another group", "no group"}


def test_what_says_less_computes_the_same(run_apart: Attack) -> None:
    want = run_apart(good(), X)
    assert want["shape"] == [2, 5]
    for name, edit, _ in CASES:
        if name in MEANT_ALL_THE_SAME:
            model = good()
            edit(model)
            assert run_apart(model, X) == want


REFUSED = {name: edit for name, edit, _ in CASES if name not in MEANT_ALL_THE_SAME}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(run_apart: Attack, name: str) -> None:
    model = good()
    REFUSED[name](model)
    answer = run_apart(model, X)
    assert "error" in answer, "it ran"
    assert len(answer["error"]) > 20
