"""Several processes on this machine, real ones, and what becomes of one that fails."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from device_bench import BenchPlan, Measurement, ModelUnderTest, measure
from device_bench.errors import MeasurementError, PlanError, UnknownDeviceError
from device_bench.sampling.fresh_process import measure_in_fresh_process

Models = dict[str, ModelUnderTest]
PLAN = BenchPlan(samples=9, warmup_rounds=2, processes=2)


def test_two_processes_take_as_many_samples_each(models: Models) -> None:
    told: list[float] = []
    core = min(os.sched_getaffinity(0))
    plan = replace(PLAN, cores=(core,), input_shapes={"x": (1, 5000)})
    measurement = measure(models, plan=plan, progress=told.append)
    benchmark = measurement.results.benchmark("dense")
    assert benchmark.process_samples == (9, 9)
    assert benchmark.input_shapes == {"x": (1, 5000)}
    assert measurement.results.context.affinity == (core,)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert measurement.summary("dense").samples == 18


def test_what_fails_there_is_told_here(models: Models, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="The cores 1000 cannot be used"):
        measure_in_fresh_process(models, replace(PLAN, cores=(1000,)))
    broken = {"m": ModelUnderTest(tmp_path / "missing.onnx", sparse=False)}
    with pytest.raises(MeasurementError, match=r"'m'.*missing\.onnx"):
        measure_in_fresh_process(broken, PLAN)


def test_a_process_that_says_nothing_is_not_believed(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(MeasurementError, match="ended with status 1"):
        measure_in_fresh_process(models, PLAN)
    monkeypatch.setattr("sys.executable", "/bin/sleep")
    with pytest.raises(MeasurementError):
        measure_in_fresh_process(models, PLAN)


def test_it_ends_at_the_limit_of_the_plan(models: Models) -> None:
    plan = replace(PLAN, duration_s=600.0, time_limit_s=0.2)
    with pytest.raises(MeasurementError, match="did not end within 0 s"):
        measure_in_fresh_process(models, plan)


@pytest.mark.parametrize("device", ["emulated:cortex-a53", "estimate:cortex-a53"])
def test_counts_are_of_one_process(models: Models, device: str) -> None:
    with pytest.raises(PlanError, match="leave out --processes"):
        measure(models, device=device, plan=PLAN)


def test_how_many_processes_can_be_asked_for() -> None:
    for count in (0, -1, 101):
        with pytest.raises(PlanError, match="processes cannot be used"):
            BenchPlan(processes=count)


def test_what_was_measured_is_kept_of_all_processes(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    from fake_device import results_of

    class Second:
        """Fails in its second process, after some samples."""

        default_processes = 3
        calls = 0

        def __init__(self, address: str) -> None:
            self.name = address

        def measure(self, models, plan, progress=None, keep=None):  # type: ignore[no-untyped-def]
            Second.calls += 1
            if Second.calls == 2:
                keep(Measurement(results_of(1, 5, dense=9.0)))
                raise MeasurementError("unplugged")
            return Measurement(results_of(2, 20, dense=9.0))

    monkeypatch.setattr("device_bench.devices.DEVICES", {"fake": Second})
    kept: list[Measurement] = []
    with pytest.raises(MeasurementError, match="unplugged"):
        measure(models, device="fake:x", keep=kept.append)
    assert kept[0].results.benchmark("dense").process_samples == (20, 5)
    with pytest.raises(UnknownDeviceError):
        measure(models, device="toaster", keep=kept.append)
    assert len(kept) == 1
