from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bench.errors import MeasurementError
from device_bench.results import Benchmark
from device_bench.sampling.profile import op_times, read_trace


def event(node: str, op: str, dur: object, cat: str = "Node") -> dict[str, object]:
    return {"cat": cat, "name": node, "dur": dur, "args": {"op_name": op}}


def test_median_of_the_runs_in_order_of_the_first() -> None:
    trace = [
        event("session_initialization", "", 900, "Session"),
        *(event("stem_fence_before", "Conv", 5) for _ in range(3)),
        *(event("stem_kernel_time", "Conv", dur) for dur in (9000, 2000, 4000)),
        event("a_kernel_time", "CsrConv", 500),
    ]
    assert [(entry.node, entry.op, entry.ms) for entry in op_times(trace)] == [
        ("stem", "Conv", 4.0),
        ("a", "CsrConv", 0.5),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "args", "dur"]), inner),
    max_leaves=10,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"cat": st.just("Node"), "name": st.text(max_size=9).map(lambda name: name + "_kernel_time") | json_values},
            optional={"dur": json_values, "args": st.fixed_dictionaries({"op_name": st.text() | json_values})},
        )
        | json_values,
        max_size=5,
    )
)
def test_any_list_gives_what_a_results_file_takes(trace: list[object]) -> None:
    times = op_times(trace)
    Benchmark.model_validate_json(
        Benchmark(name="m", time_unit="ms", samples=(1.0,), profile=times).model_dump_json(), strict=True
    )


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, "[1,", '"x"'])
def test_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(MeasurementError, match="profile"):
        read_trace(text)


def test_a_node_that_joins_many_layers_keeps_its_whole_name() -> None:
    name = "+".join(f"features.{number}.0" for number in range(100))
    event = {"cat": "Node", "name": f"{name}_kernel_time", "dur": 5, "args": {"op_name": "QSequence"}}
    (found,) = op_times([event])
    assert found.node == name
