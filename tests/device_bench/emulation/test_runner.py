"""The arm64 library in ONNX Runtime's arm64 build, on emulated processors, against the x86 library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sparse_models

import runtimes
from device_bench.emulation import EmulationUnavailableError, Emulator, emulator, run_model
from device_bench.emulation.prepare import onnxruntime_library
from device_bench.errors import MeasurementError

X = np.random.default_rng(7).normal(size=(2, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(sparse_models.small_network(np.random.default_rng(3)))
    return path


@pytest.fixture(scope="module")
def device() -> Callable[[str], Emulator]:
    """An emulated processor; without what emulation needs the tests are skipped, with the command that brings it."""
    try:
        onnxruntime_library()
        emulator("cortex-a53")
    except EmulationUnavailableError as error:
        pytest.skip(str(error))
    return emulator


@pytest.mark.parametrize(("cpu", "isa"), [("cortex-a53", None), ("cortex-a76", None), ("cortex-a53", "reference")])
def test_arm64_gives_what_x86_gives(device: Callable[[str], Emulator], model: Path, cpu: str, isa: str | None) -> None:
    here = runtimes.session(model).run(None, {"X": X})[0]
    there = run_model(device(cpu), model, X, isa=isa)
    assert there.output.shape == here.shape == (2, 10)
    np.testing.assert_allclose(there.output, here, rtol=1e-5, atol=1e-5 * np.abs(here).max())


def test_two_threads_and_more_runs_give_the_same_bits(device: Callable[[str], Emulator], model: Path) -> None:
    one = run_model(device("cortex-a76"), model, X)
    two = run_model(device("cortex-a76"), model, X, threads=2, runs=3)
    assert two.output.tobytes() == one.output.tobytes()
    assert (len(one.samples_ns), len(two.samples_ns)) == (1, 3)


def test_a_malformed_model_is_refused_there_too(device: Callable[[str], Emulator], tmp_path: Path) -> None:
    weight = sparse_models.random_sparse(np.random.default_rng(0), (4, 4, 1, 1), 0.5)
    constants = sparse_models.constants_of("CsrConv", weight, np.zeros(4, np.float32))
    constants["row_ptr"][1] = 99
    path = tmp_path / "bad.onnx"
    path.write_bytes(sparse_models.model("CsrConv", constants, x_shape=[1, 4, 2, 2], name="the bad one"))
    with pytest.raises(MeasurementError, match=r'CsrConv "the bad one": row_ptr falls from 99'):
        run_model(device("cortex-a76"), path, np.zeros((1, 4, 2, 2), np.float32))
