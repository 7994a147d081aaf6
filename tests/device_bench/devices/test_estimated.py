from __future__ import annotations

import pytest

from device_bench import BenchPlan, ModelUnderTest, measure
from device_bench.devices import get_device
from device_bench.errors import PlanError, ResultsError, UnknownDeviceError
from device_bench.judging.compare import compare
from device_bench.results import Benchmark, Context, Results, parse


def test_an_estimate_is_labelled_and_never_mixed_with_what_was_measured(models: dict[str, ModelUnderTest]) -> None:
    device = get_device("estimate:cortex-a53")
    availability = device.probe()
    if not availability.reachable:
        pytest.skip(availability.detail)
    assert "estimates" in availability.detail
    measurement = measure(models, device="estimate:cortex-a53")
    results = parse(measurement.to_json().encode())
    assert (results.kind, results.context.kind, results.context.device) == ("estimate", "estimate", device.name)
    benchmark = results.benchmark("dense")
    assert benchmark.time_unit == "cycles"
    assert benchmark.samples[0] > 5000 / 4
    assert "estimate" in measurement.warnings[0]
    assert "llvm-mca" in results.context.versions
    for kind, unit in (("measured", "ms"), ("instructions", "instructions")):
        other = Benchmark(name="dense", time_unit=unit, samples=benchmark.samples)
        with pytest.raises(ResultsError, match="estimate"):
            compare(results, Results(context=Context(kind=kind), benchmarks=(other,)))


def test_what_cannot_be_estimated_is_refused(models: dict[str, ModelUnderTest]) -> None:
    with pytest.raises(UnknownDeviceError, match="estimate:cortex-a76"):
        get_device("estimate:z80")
    with pytest.raises(PlanError, match="one thread"):
        get_device("estimate:cortex-a76").measure(models, BenchPlan(threads=2))
