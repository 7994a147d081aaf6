"""What the runner printed before it was cut off is kept: samples, what the sensors said beside them, and the pairs."""

from __future__ import annotations

import pytest

from device_bench.remote.stream import RunnerOutput

PHONE = ["z 0 thermal_zone3 cpu-0-0", "c 0 41500", "z 1 battery", "c 1 77"]


def heard(*lines: str) -> RunnerOutput:
    output = RunnerOutput(("a", "b"))
    for line in lines:
        output.hear(f"{line}\n")
    return output


def test_sensors_stand_beside_the_samples_of_a_run_that_was_cut_off() -> None:
    output = heard(*PHONE, "s a 0 5.000 2400 0", "s b 9 6.000 2400 0", "c 0 43000", "s b 20 6.000 1800 2000")
    output.hear("s a 30 5.500 1800 0\n")
    assert output.garbled is None
    results = output.partial("unplugged")
    assert results is not None
    a, b = results.benchmark("a"), results.benchmark("b")
    assert (a.samples, b.samples) == ((5.0, 5.5), (6.0, 6.0))
    assert a.temperatures_c == b.temperatures_c == {"thermal_zone3 cpu-0-0": (41.5, 43.0)}
    assert (a.battery_percent, a.frequencies_mhz) == ((77.0, 77.0), (2400.0, 1800.0))
    assert (a.sensors_age_s, b.sensors_age_s) == ((0.0, 0.0), (0.0, 0.000002))
    assert results.context.warnings == ("The run was cut off after 2 rounds: unplugged",)


def test_a_long_run_forgets_every_other_round_here_as_well() -> None:
    rounds = [f"s {name} {10 * i} {i}.000 0 0" for i in range(1, 9) for name in "ab"]
    output = heard(*rounds[:8], "t", *rounds[8:10], *rounds[12:14], "t", "t")
    assert [sample[1] for sample in output.samples["a"]] == [1.0]
    assert (output.rounds, output.thinned, output.latest_s) == (1, 8, 7e-8)
    results = output.partial("unplugged")
    assert results is not None
    assert results.context.warnings == ("The run was cut off after 8 rounds (one in 8 is kept): unplugged",)
    assert results.benchmark("a").frequencies_mhz == ()


@pytest.mark.parametrize(
    "line",
    ["s a 1 1.000 0", "s c 1 1.000 0 0", "z 2 late", "z 0 again", "z 1 thermal_zone3 cpu-0-0", "c 1 5", "c 0 x", "tt"],
)
def test_lines_that_no_runner_prints(line: str) -> None:
    assert heard(PHONE[0], line).garbled == f"{line}\n"
    if line.startswith("z"):
        assert heard(PHONE[0], "s a 1 1.000 0 0", "z 1 late").garbled == "z 1 late\n"
