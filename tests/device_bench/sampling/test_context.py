from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from device_bench.sampling import context

PHONE = {
    "proc/cpuinfo": "Features\t: fp asimd asimdhp asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
    "proc/device-tree/model": "Some Phone 7\0",
    "proc/loadavg": "0.52 0.40 0.30 1/200 999\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
    "sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq": "2840000\n",
    "sys/class/thermal/thermal_zone0/temp": "41500\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-0-0\n",
    "sys/class/thermal/thermal_zone1/temp": "garbage\n",
    "sys/class/thermal/thermal_zone1/type": "battery\n",
    "sys/class/power_supply/battery/capacity": "77\n",
    "sys/class/power_supply/battery/status": "Discharging\n",
}


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    for name, text in PHONE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_phone(phone: Path) -> None:
    assert context.cpu_name(phone) == "Some Phone 7"
    assert context.cpu_features(phone) == ("asimd", "asimdhp", "asimddp")
    assert context.governor(phone) == "schedutil"
    state = context.machine_state(phone)
    assert state.load_avg == (0.52, 0.40, 0.30)
    assert state.frequencies_mhz == (1800.0, 2840.0)
    assert state.temperatures_c == {"thermal_zone0 cpu-0-0": 41.5}
    assert (state.battery_percent, state.on_battery) == (77.0, True)


def test_a_board_without_a_name(phone: Path) -> None:
    (phone / "proc/device-tree/model").unlink()
    assert "implementer 0x41 part 0xd0b" in (context.cpu_name(phone) or "")


def test_a_pc(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    text = "model name\t: Some CPU @ 2 GHz\ncpu MHz\t\t: 2000.5\nflags\t: fpu sse2 avx2 avx512f\n"
    (tmp_path / "proc/cpuinfo").write_text(text)
    assert context.cpu_name(tmp_path) == "Some CPU @ 2 GHz"
    assert context.cpu_features(tmp_path) == ("sse2", "avx2", "avx512f")
    assert context.machine_state(tmp_path).frequencies_mhz == (2000.5,)


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    state = context.machine_state(tmp_path)
    assert (state.load_avg, state.frequencies_mhz, state.temperatures_c) == ((), (), {})
    assert (state.battery_percent, state.on_battery) == (None, None)
    assert context.governor(tmp_path) is None
    assert context.cpu_features(tmp_path) == ()


def test_this_machine(tmp_path: Path) -> None:
    assert context.affinity()
    assert context.cpu_name()
    assert "python" in context.versions()
    assert context.now().endswith("+00:00")
    (tmp_path / "f").write_bytes(b"abc")
    assert context.file_sha256(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_big_and_little_cores(phone: Path) -> None:
    for core, khz in ((0, 1_800_000), (1, 1_800_000), (7, 2_840_000)):
        path = phone / f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{khz}\n")
    assert context.cores_by_clock("big", phone) == (7,)
    assert context.cores_by_clock("little", phone) == (0, 1)
    assert context.cores_by_clock("big", phone / "nothing") == ()
