from __future__ import annotations

from typing import Any

import pytest

from device_bench.errors import PlanError
from device_bench.plan import BenchPlan, parse_cores, parse_duration


@pytest.mark.parametrize(
    "fields",
    [
        {"samples": 0},
        {"samples": 10**9},
        {"threads": 0},
        {"duration_s": -1.0},
        {"duration_s": float("nan")},
        {"warmup_rounds": -1},
        {"time_limit_s": 0.0},
        {"order": "alphabetical"},
        {"cores": ()},
        {"cores": (-1,)},
    ],
)
def test_senseless_plans_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(PlanError) as caught:
        BenchPlan(**fields)
    assert caught.value.exit_code == 2


def test_core_lists() -> None:
    assert parse_cores("0-3") == (0, 1, 2, 3)
    assert parse_cores("4, 0,2-3") == (0, 2, 3, 4)
    assert (parse_cores("big"), parse_cores("little")) == ("big", "little")
    for text in ("", "a", "3-1", "-1", "1;reboot", "1-", "99999"):
        with pytest.raises(PlanError, match="not a list of cores"):
            parse_cores(text)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90s", "30m", "1.5h")] == [90.0, 1800.0, 5400.0]
    for text in ("", "30", "-1m", "1d", "1e3s", "nan s"):
        with pytest.raises(PlanError, match="not a duration"):
            parse_duration(text)
