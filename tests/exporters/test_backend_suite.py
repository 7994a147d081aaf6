"""ONNX's backend suite: an export leaves each case equal in value, or refuses it in a sentence.

A tenth of it by default; all 2,033 cases with CHITA_EDGE_WHOLE_SUITE=1, in some minutes. Cases of layers come twice:
with their weights as inputs, as the suite has them, and as constants of which most are 0.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import backend_cases
import onnx
import pytest

WHOLE = os.environ.get("CHITA_EDGE_WHOLE_SUITE") == "1"
LAYERS = ("conv", "convtranspose", "gemm", "matmul")
"""Modules of layers are part of every tenth."""


def some(cases: list[Any]) -> list[Any]:
    """A tenth of the cases, the same each time."""
    return cases if WHOLE else cases[5::10]


@pytest.mark.parametrize("module", sorted({*LAYERS, *some(backend_cases.MODULES)}))
@pytest.mark.filterwarnings("ignore")  # of the modules, which make what they expect with numpy
def test_a_node_is_equal_or_refused(module: str, tmp_path: Path) -> None:
    for case in backend_cases.node_cases_of(module):
        assert backend_cases.outcome(case, tmp_path / "model.onnx")


@pytest.mark.parametrize("folder", some(backend_cases.FOLDERS), ids=lambda folder: folder.name)
def test_a_model_is_equal_or_refused(folder: Path, tmp_path: Path) -> None:
    assert backend_cases.outcome(backend_cases.file_case(folder), tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "path", backend_cases.LIGHT if WHOLE else backend_cases.LIGHT[-3:-2], ids=lambda path: path.stem
)
def test_a_light_model_is_read_and_stays_as_it_is(path: Path, tmp_path: Path) -> None:
    """Its weights are one number each, and so none is 0."""
    case = backend_cases.Case(path.stem, onnx.load(path), [])
    assert backend_cases.outcome(case, tmp_path / "model.onnx") == "same"


def test_layers_of_constant_weights_become_sparse(tmp_path: Path) -> None:
    found = [case for case in backend_cases.node_cases_of("gemm") if case.name.endswith("of constant weights")]
    outcomes = [backend_cases.outcome(case, tmp_path / "model.onnx") for case in found]
    assert outcomes.count("equal") >= len(outcomes) // 2 > 0


def test_an_operator_set_that_the_runtime_lacks_is_compared_in_the_reference(tmp_path: Path) -> None:
    cases = backend_cases.node_cases_of("causal_conv_with_state")
    (case,) = [case for case in cases if case.name.endswith("degenerate_expanded of constant weights")]
    assert backend_cases.outcome(case, tmp_path / "model.onnx") == "equal"
