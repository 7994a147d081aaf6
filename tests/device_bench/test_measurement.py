from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from device_bench.measurement import Measurement
from device_bench.results import Benchmark, Context, MachineState, Results, load


def measurement(interleaved: bool = True) -> Measurement:
    rng = np.random.default_rng(0)
    common = rng.lognormal(0, 0.05, 60)
    dense = Benchmark(name="dense", time_unit="ms", samples=tuple((4.0 * common).tolist()))
    sparse = Benchmark(name="sparse", time_unit="us", samples=tuple((2000.0 * common).tolist()))
    return Measurement(Results(context=Context(interleaved=interleaved), benchmarks=(dense, sparse)))


def test_figures_are_in_milliseconds_whatever_the_unit() -> None:
    m = measurement()
    dense, sparse = m.summary("dense"), m.summary("sparse")
    assert dense.p50 == pytest.approx(2 * sparse.p50)
    assert sparse.min < sparse.p50 < sparse.p90
    assert sparse.samples == 60
    assert sparse.spread == pytest.approx(dense.spread)


@pytest.mark.parametrize("unit", ["instructions", "cycles"])
def test_counts_and_estimates_stay_as_they_are(unit: Literal["instructions", "cycles"]) -> None:
    counted = Benchmark(name="m", time_unit=unit, samples=(4_000_000.0,))
    assert Measurement(Results(benchmarks=(counted,))).summary("m").p50 == 4_000_000


def test_speedup_is_paired_when_interleaved_and_minds_units() -> None:
    paired, unpaired = measurement().ratio("dense", "sparse"), measurement(False).ratio("dense", "sparse")
    assert paired.estimate == pytest.approx(2.0)
    assert paired.high - paired.low < 1e-9
    assert unpaired.low < 2.0 < unpaired.high
    assert unpaired.high - unpaired.low > 0.01


def test_warnings_speak_of_machine_and_samples(tmp_path: Path) -> None:
    drifting = Benchmark(name="sparse", time_unit="ms", samples=tuple(np.linspace(1.0, 2.0, 60).tolist()))
    context = Context(before=MachineState(load_avg=(3.0,)), num_cpus=2, warnings=("The fan was off.",))
    m = Measurement(Results(context=context, benchmarks=(drifting,)))
    fan, load_sentence, drift = m.warnings
    assert fan == "The fan was off."
    assert "busy" in load_sentence
    assert "slower" in drift
    m.save(tmp_path / "m.json")
    assert Measurement(load(tmp_path / "m.json")) == m
    assert measurement().warnings == ()
