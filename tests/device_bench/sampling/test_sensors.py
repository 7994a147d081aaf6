"""The sensors of imagined phones, below a folder of theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_bench.sampling.sensors import Reading, SensorReader, columns


class Clock:
    """Each look at it takes a microsecond."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1000
        return self.now


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for core, khz in ((0, 1_800_000), (7, 2_840_000)):
        write(tmp_path, f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", khz)
    for zone in range(4):
        write(tmp_path, f"class/thermal/thermal_zone{zone}/temp", 40_000 + zone)
        write(tmp_path, f"class/thermal/thermal_zone{zone}/type", f"cpu-{zone}")
    write(tmp_path, "class/power_supply/battery/capacity", 77)
    return tmp_path


def write(root: Path, name: str, value: object) -> None:
    path = root / "sys" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")


def test_what_is_read_right_after_a_long_sample_is_of_that_moment(root: Path) -> None:
    sensors = SensorReader(root, clock=Clock(), core=lambda: 7)
    assert sensors.labels == [*(f"thermal_zone{zone} cpu-{zone}" for zone in range(4)), "battery"]
    assert sensors.after_sample(10**9) == Reading(2840.0, (40_000, 40_001, 40_002, 40_003, 77), 0)
    write(root, "class/thermal/thermal_zone2/temp", 55_500)
    write(root, "class/power_supply/battery/capacity", 76)
    write(root, "devices/system/cpu/cpu7/cpufreq/scaling_cur_freq", 1_200_000)
    assert sensors.after_sample(10**9) == Reading(1200.0, (40_000, 40_001, 55_500, 40_003, 76), 0)
    sensors.close()


def test_after_a_short_sample_one_is_read_in_turn_and_the_age_says_so(root: Path) -> None:
    clock = Clock()
    sensors = SensorReader(root, clock=clock, core=lambda: 0)
    for zone in range(4):
        write(root, f"class/thermal/thermal_zone{zone}/temp", 50_000)
    first = sensors.after_sample(1)
    assert first.values == (50_000, 40_001, 40_002, 40_003, 77)
    assert first.age_ns > 0
    for _ in range(4):
        clock.now += 1_000_000
        last = sensors.after_sample(1)
    assert last.values == (50_000, 50_000, 50_000, 50_000, 77)
    assert 5_000_000 > last.age_ns > 4_000_000  # the first one was read four samples ago


def test_a_zone_that_stops_to_answer_keeps_its_value_and_grows_old(root: Path) -> None:
    clock = Clock()
    sensors = SensorReader(root, clock=clock, core=lambda: -1)
    (root / "sys/class/thermal/thermal_zone1/temp").write_text("")
    ages = []
    for _ in range(3):
        clock.now += 10**9
        reading = sensors.after_sample(10**9)
        assert reading.values[1] == 40_001
        assert reading.mhz is None
        ages.append(reading.age_ns)
    assert ages[0] >= 10**9
    assert ages[2] - ages[1] >= 10**9


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    sensors = SensorReader(tmp_path)
    assert not sensors.found
    assert sensors.after_sample(5) == Reading(None, (), 0)
    assert columns([], [sensors.after_sample(5)]) == {}


def test_columns_as_a_results_file_has_them() -> None:
    readings = [Reading(1800.0, (41_500, 77), 0), Reading(1700.0, (41_750, 76), 2_500_000)]
    assert columns(["zone", "battery"], readings) == {
        "frequencies_mhz": (1800.0, 1700.0),
        "temperatures_c": {"zone": (41.5, 41.75)},
        "battery_percent": (77.0, 76.0),
        "sensors_age_s": (0.0, 0.0025),
    }
    assert "frequencies_mhz" not in columns([], [readings[0], Reading(None, (), 0)])
