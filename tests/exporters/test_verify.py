"""Three opinions on one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from exporters import Decision, VerificationError, relative_difference, save, to_sparse, verify


@pytest.fixture
def case(tiny: onnx.ModelProto, rng: np.random.Generator, run_stock: Callable, tmp_path: Path) -> tuple:
    x = rng.normal(size=(2, 1, 8, 8)).astype(np.float32)
    save(to_sparse(tiny, lambda info: Decision(sparse=True, reason="test")).model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx", x, run_stock(tiny, {"input": x})[0]


def test_a_right_file_passes(case: tuple) -> None:
    result = verify(*case)
    assert result.onnxruntime <= 1e-5
    assert result.reference <= 1e-5


@pytest.mark.parametrize("wrong", [1.01, np.nan])
def test_another_output_is_refused(case: tuple, wrong: float) -> None:
    path, x, want = case
    with pytest.raises(VerificationError, match=r"model\.onnx: in ONNX Runtime"):
        verify(path, x, want * np.float32(wrong))


def test_relative_difference() -> None:
    want = np.array([[1.0, -4.0]], np.float32)
    assert relative_difference(want + np.array([[0.0, 1.0]], np.float32), want) == 0.25
    assert relative_difference(want[:, :1], want) == float("inf")
    assert np.isnan(relative_difference(want * np.float32("nan"), want))
    assert relative_difference(np.zeros(3), np.zeros(3)) == 0
