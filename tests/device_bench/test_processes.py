from __future__ import annotations

import pytest

from device_bench import results
from device_bench.errors import MeasurementError
from device_bench.processes import merged
from device_bench.results import Benchmark, Context, MachineState, Results, TimedState, parse


def run(offset: float, n: int = 4, **fields: object) -> Results:
    entry = {
        "time_unit": "ms",
        "samples": tuple(offset + i for i in range(1, n + 1)),
        "timestamps_s": tuple(float(i) for i in range(n)),
        "warmup_rounds": 10,
        "warmup_stable": True,
        "session_ms": offset,
        "peak_memory_bytes": int(offset),
        "temperatures_c": {"cpu": (40.0,) * n, f"only {offset}": (1.0,) * n},
        "frequencies_mhz": (2000.0,) * n,
        **fields,
    }
    state = MachineState(load_avg=(offset,))
    return Results(
        context=Context(
            before=state, after=state, meanwhile=(TimedState(at_s=0.5, state=state),), warnings=("hot", f"run {offset}")
        ),
        benchmarks=tuple(Benchmark.model_validate({"name": name, **entry}) for name in ("dense", "sparse")),
    )


def test_processes_one_after_another() -> None:
    together = merged([run(10.0), run(20.0, 5), run(30.0)])
    benchmark = together.benchmark("sparse")
    assert benchmark.process_samples == (4, 5, 4)
    assert benchmark.runs == ((11, 12, 13, 14), (21, 22, 23, 24, 25), (31, 32, 33, 34))
    assert benchmark.timestamps_s == (0, 1, 2, 3, 3, 4, 5, 6, 7, 7, 8, 9, 10)
    assert benchmark.temperatures_c == {"cpu": (40.0,) * 13}
    assert (benchmark.session_ms, benchmark.peak_memory_bytes, benchmark.warmup_rounds) == (20.0, 30, 10)
    context = together.context
    assert context.before == MachineState(load_avg=(10.0,))
    assert context.after == MachineState(load_avg=(30.0,))
    assert [state.at_s for state in context.meanwhile] == [0.5, 3.5, 7.5]
    assert context.warnings == ("hot", "run 10.0", "run 20.0", "run 30.0")
    assert parse(together.to_json().encode()) == together
    assert together.benchmark("dense").runs == benchmark.runs


def test_one_process_is_left_as_it_is() -> None:
    alone = run(10.0)
    assert merged([alone]) is alone
    assert alone.benchmark("dense").runs == ((11, 12, 13, 14),)


def test_a_column_that_one_process_lacks_is_left_out() -> None:
    benchmark = merged([run(10.0), run(20.0, frequencies_mhz=(), warmup_stable=False)]).benchmark("dense")
    assert benchmark.frequencies_mhz == ()
    assert benchmark.warmup_stable is False


def test_too_many_samples_for_a_file_are_thinned_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_ROUNDS", 8)
    together = merged([run(10.0, 8), run(20.0, 8)])
    assert together.benchmark("dense").runs == ((11, 13, 15, 17), (21, 23, 25, 27))
    assert "one in 2 is kept" in together.context.warnings[-1]


def test_processes_of_different_models_are_refused() -> None:
    other = Results(benchmarks=(Benchmark(name="m", time_unit="ms", samples=(1.0,)),))
    with pytest.raises(MeasurementError, match="different models"):
        merged([run(10.0), other])


def test_samples_that_belong_to_no_process_are_refused() -> None:
    with pytest.raises(ValueError, match="its processes took 3 samples, and it has 2"):
        Benchmark(name="m", time_unit="ms", samples=(1.0, 2.0), process_samples=(2, 1))
