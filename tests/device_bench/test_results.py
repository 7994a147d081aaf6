from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bench.errors import ResultsError
from device_bench.results import Benchmark, Context, MachineState, Results, load, parse, save

SMALLEST = {"benchmarks": [{"name": "sparse", "time_unit": "ms", "samples": [1.5, 2, 1.25]}]}


def edited(**fields: Any) -> bytes:
    document = json.loads(json.dumps(SMALLEST))
    document["benchmarks"][0].update(fields)
    return json.dumps(document).encode()


def test_three_fields_are_enough() -> None:
    results = parse(json.dumps(SMALLEST).encode())
    assert results.benchmark("sparse").samples == (1.5, 2.0, 1.25)
    assert results.context.schema_version == 1


def test_unknown_fields_are_ignored_as_google_benchmark_writes_them() -> None:
    document = {
        "context": {
            "date": "2026-01-01T00:00:00+00:00",
            "host_name": "h",
            "executable": "./b",
            "num_cpus": 8,
            "mhz_per_cpu": 2000,
            "caches": [{"type": "Data", "level": 1}],
            "load_avg": [0.1],
            "library_build_type": "release",
        },
        "benchmarks": [{**SMALLEST["benchmarks"][0], "run_name": "x", "cpu_time": 1, "threads": 1}],
        "more": None,
    }
    assert parse(json.dumps(document).encode()).context.num_cpus == 8


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"samples": []}, r"benchmarks\[0\]\.samples"),
        ({"samples": [1, -2]}, r"samples\[1\].*greater than or equal"),
        ({"samples": [0]}, r"samples\[0\].*greater than or equal"),
        ({"samples": [1, None]}, r"samples\[1\]"),
        ({"samples": [1, 1e300]}, r"samples\[1\].*less than or equal"),
        ({"samples": [True]}, r"samples\[0\]"),
        ({"samples": ["1"]}, r"samples\[0\]"),
        ({"samples": 3}, "samples"),
        ({"samples": [float("nan")]}, r"samples\[0\].*finite"),
        ({"samples": [1, float("inf")]}, r"samples\[1\].*finite"),
        ({"time_unit": "fortnight"}, "time_unit"),
        ({"time_unit": None}, "time_unit"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"timestamps_s": [0.0]}, "1 timestamps or readings stand beside 3 samples"),
        ({"battery_percent": [77.0]}, "1 timestamps or readings stand beside 3 samples"),
        ({"temperatures_c": {"zone": [40.0, 41.0]}}, "2 timestamps or readings stand beside 3 samples"),
        ({"temperatures_c": {str(i): [1.0, 1.0, 1.0] for i in range(65)}}, "temperatures_c"),
        ({"inner_repetitions": 0}, "inner_repetitions"),
    ],
)
def test_refuses_what_no_measurement_gives(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ResultsError, match=match) as caught:
        parse(edited(**fields), "run.json")
    assert str(caught.value).startswith("run.json")


@pytest.mark.parametrize("field", ["name", "time_unit", "samples"])
def test_refuses_a_file_without_one_of_the_three(field: str) -> None:
    document = json.loads(json.dumps(SMALLEST))
    del document["benchmarks"][0][field]
    with pytest.raises(ResultsError, match=field):
        parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"benchmarks": []}',
        b'{"benchmarks": {}}',
        b"\xff",
        b"[" * 100_000,
        b'{"benchmarks": [' * 50_000,
        b"<html>",
        json.dumps({"benchmarks": SMALLEST["benchmarks"] * 2}).encode(),
        json.dumps({**SMALLEST, "context": {"schema_version": 2}}).encode(),
        json.dumps({**SMALLEST, "context": {"schema_version": "1"}}).encode(),
        json.dumps({**SMALLEST, "context": 3}).encode(),
        b'{"benchmarks": [{"name": "a", "time_unit": "ms", "samples": [1e999]}]}',
        json.dumps(SMALLEST).encode()[:-5],
    ],
)
def test_refuses_what_is_no_results_file(data: bytes) -> None:
    with pytest.raises(ResultsError, match="not a results file"):
        parse(data)


def test_load_names_the_file_and_does_not_hang_or_fill_memory(tmp_path: Path) -> None:
    fifo, huge = tmp_path / "fifo", tmp_path / "huge.json"
    os.mkfifo(fifo)
    huge.touch()
    os.truncate(huge, 1 << 40)
    for path, match in [(tmp_path / "none.json", "none.json"), (tmp_path, "cannot be read"), (fifo, "regular")]:
        with pytest.raises(ResultsError, match=match):
            load(path)
    with pytest.raises(ResultsError, match="more than 64 MiB"):
        load(huge)


samples = st.lists(st.floats(min_value=1e-9, max_value=1e12), min_size=1, max_size=40)


@given(samples=samples, unit=st.sampled_from(["ns", "us", "ms", "s", "instructions"]))
def test_what_is_written_is_read_back_exactly(samples: list[float], unit: Any) -> None:
    results = Results(
        context=Context(
            date="2026-01-01",
            before=MachineState(load_avg=(0.5,), temperatures_c={"cpu": 40.0}, on_battery=False),
            versions={"python": "3"},
            affinity=(0, 1),
        ),
        benchmarks=(
            Benchmark(name="dense", time_unit=unit, samples=tuple(samples), timestamps_s=(0.0,) * len(samples)),
        ),
    )
    assert parse(results.to_json().encode()) == results


def test_google_benchmarks_own_fields_are_written() -> None:
    entry = json.loads(parse(json.dumps(SMALLEST).encode()).to_json())["benchmarks"][0]
    assert entry["real_time"] == 1.5
    assert entry["iterations"] == 3


def test_unknown_benchmark_is_answered_with_those_there_are() -> None:
    with pytest.raises(ResultsError, match=r"'dense'.*there are sparse"):
        parse(json.dumps(SMALLEST).encode()).benchmark("dense")


def test_saving_is_whole_or_nothing(tmp_path: Path) -> None:
    results = parse(json.dumps(SMALLEST).encode())
    path = tmp_path / "bench" / "run.json"
    save(results, path)
    assert load(path) == results
    large = Results(benchmarks=(Benchmark(name="x", time_unit="ms", samples=(1.2345678,) * 50_000),))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ResultsError, match="nothing was left behind"):
            save(large, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load(path) == results
    assert list(path.parent.iterdir()) == [path]
