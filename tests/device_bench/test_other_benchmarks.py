"""Files as google-benchmark 1.9 and pytest-benchmark 5 write them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bench.errors import ResultsError
from device_bench.judging.compare import compare
from device_bench.results import Results, parse


def repetition(index: int, name: str = "net/8", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "run_name": name,
        "run_type": "iteration",
        "repetitions": 20,
        "repetition_index": index,
        "threads": 1,
        "iterations": 100,
        "real_time": 10 + 0.01 * (index * 7 % 5),
        "cpu_time": 9.9,
        "time_unit": "ms",
        **fields,
    }


AGGREGATE = {"name": "net/8_median", "run_name": "net/8", "run_type": "aggregate", "real_time": 1.0, "time_unit": "ms"}
GOOGLE: dict[str, Any] = {
    "context": {
        "date": "2025-01-01T10:00:00+00:00",
        "host_name": "phone",
        "executable": "./bench",
        "num_cpus": 8,
        "mhz_per_cpu": 2400,
        "cpu_scaling_enabled": True,
        "load_avg": [0.1, 0.2, 0.3],
        "caches": [{"type": "Data", "level": 1, "size": 32768, "num_sharing": 1}],
    },
    "benchmarks": [*(repetition(i) for i in range(20)), AGGREGATE],
}
PYTEST: dict[str, Any] = {
    "machine_info": {"cpu": {"brand_raw": "A76"}},
    "version": "5.1.0",
    "datetime": "2025-01-01",
    "benchmarks": [
        {
            "name": "test_net",
            "fullname": "t.py::test_net",
            "stats": {"median": 0.01, "data": [0.01, 0.0101, 0.0102, 0.0103] * 5},
        }
    ],
}


def read(document: dict[str, Any]) -> Results:
    return parse(json.dumps(document).encode(), "run.json")


def test_repetitions_are_samples() -> None:
    results = read(GOOGLE)
    assert results.names == ("net/8",)
    assert results.benchmark("net/8").samples[:3] == (10.0, 10.02, 10.04)
    assert len(results.benchmark("net/8").samples) == 20
    assert results.benchmark("net/8").time_unit == "ms"
    context = results.context
    assert (context.num_cpus, context.threads) == (8, 1)
    assert "phone" not in results.to_json()
    rounds = read(PYTEST).benchmark("t.py::test_net")
    assert (rounds.time_unit, rounds.samples[:2], len(rounds.samples)) == ("s", (0.01, 0.0101), 20)


def test_they_are_compared() -> None:
    for document in (GOOGLE, PYTEST):
        assert compare(read(document), read(document)).outcome == "ok"
    slower = copy.deepcopy(GOOGLE)
    for entry in slower["benchmarks"]:
        entry["real_time"] *= 1.2
    assert compare(read(GOOGLE), read(slower)).outcome == "regression"
    slower["context"]["mhz_per_cpu"] = 1800
    assert compare(read(GOOGLE), read(slower)).models[0].reason.startswith("another clock")


def test_the_default_unit_and_several_benchmarks() -> None:
    entries = [repetition(i, name) for name in ("a", "b") for i in range(9)]
    for entry in entries:
        del entry["time_unit"]
    results = read({"benchmarks": entries})
    assert results.names == ("a", "b")
    assert results.benchmark("b").time_unit == "ns"


@pytest.mark.parametrize(
    ("benchmarks", "sentence"),
    [
        ([AGGREGATE], "only aggregates.*--benchmark_repetitions=20 --benchmark_report_aggregates_only=false"),
        ([repetition(0)], "holds 1 repetition of net/8; at least 9 make samples: run it with --benchmark_repet"),
        ([repetition(0, error_occurred=True, error_message="no file")], "could not run net/8: no file"),
        ([repetition(0), repetition(1, time_unit="us")], "are in ms and us"),
        (
            [repetition(0, time_unit="fortnight")],
            "another benchmark tool, and its benchmarks.0.time_unit cannot be read",
        ),
        ([repetition(i, real_time=-1.0) for i in range(9)], r"not a results file: benchmarks\[0\]\.samples\[0\]"),
        ([{"name": "t", "stats": {"median": 1.0}}], "holds 0 rounds of t; .* --benchmark-save-data"),
        ([{"name": "t", "stats": 3}], "benchmarks.0.stats cannot be read"),
    ],
)
def test_a_refusal_says_what_to_do(benchmarks: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(ResultsError, match=sentence) as caught:
        read({"benchmarks": benchmarks})
    assert str(caught.value).startswith("run.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(entry=st.dictionaries(st.sampled_from(["name", "run_type", "real_time", "stats", "time_unit"]), json_values))
def test_whatever_stands_there_ends_in_results_or_a_sentence(entry: dict[str, Any]) -> None:
    for document in ({"benchmarks": [entry]}, {"benchmarks": [entry] * 9, "context": entry}):
        try:
            assert read(document).benchmarks
        except ResultsError as error:
            assert str(error).startswith("run.json")
