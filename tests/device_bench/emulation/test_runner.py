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
    here = runtimes.session(model, trusted=True).run(None, {"X": X})[0]
    there = run_model(device(cpu), model, X, isa=isa)
    assert there.output.shape == here.shape == (2, 10)
    np.testing.assert_allclose(there.output, here, rtol=1e-5, atol=1e-5 * np.abs(here).max())


def test_float16_arithmetic_where_the_processor_has_it(device: Callable[[str], Emulator], tmp_path: Path) -> None:
    """Cortex-A53 computes what x86 does, in float32; Cortex-A76 is within float16's bound of it and not the same."""
    rng, x = np.random.default_rng(4), np.random.default_rng(5).normal(size=(1, 140, 9, 7)).astype(np.float32)
    weight, bias = sparse_models.random_sparse(rng, (6, 140, 3, 3), 0.8), np.ones(6, np.float32)
    constants = sparse_models.csr(weight) | {"bias": bias}
    constants["values"] = constants["values"].astype(np.float16)
    path = tmp_path / "half.onnx"
    window = {"pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1]}
    path.write_bytes(sparse_models.model("CsrConv", constants, x_shape=x.shape, float16_arithmetic=1, **window))
    here = runtimes.session(path, trusted=True).run(None, {"X": x})[0]
    whole = run_model(device("cortex-a53"), path, x).output
    np.testing.assert_allclose(whole, here, rtol=1e-5, atol=1e-5 * np.abs(here).max())
    half = run_model(device("cortex-a76"), path, x).output
    hidden = run_model(device("cortex-a76"), path, x, isa="neon").output
    assert hidden.tobytes() == whole.tobytes()
    size = sparse_models.reference("CsrConv", np.abs(x), np.abs(weight), bias, pads=(1, 1, 1, 1))
    most = max(int(np.count_nonzero(weight[:, c : c + 32].reshape(6, -1), axis=1).max()) for c in range(0, 140, 32))
    error = np.abs(half - here)
    assert (error <= 1.05 * (most + 3) * 2.0**-11 * size).all()
    assert error.max() > 1e-4 * np.abs(here).max()


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
