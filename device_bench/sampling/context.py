"""State of the measured machine, read from Linux's files.

Everything is read below a root folder, so that tests can hand over the files of any machine. A file that is missing,
unreadable or nonsense gives None or nothing: a sensor must never end a measurement. No host or user name is kept.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Literal

from device_bench.results import MachineState

_ROOT = Path("/")
_MAX_SENSOR_BYTES = 1 << 16
_MAX_SENSORS = 64
# Instruction sets that decide which kernel runs, best last, as /proc/cpuinfo spells them.
_FEATURES = ("sse2", "avx2", "avx512f", "asimd", "asimdhp", "asimddp", "sve")
_PACKAGES = ("chita-edge", "onnxruntime", "numpy")


def cpu_name(root: Path = _ROOT, machine: str | None = None) -> str | None:
    """The processor's or the board's name; ``machine`` is its kind, such as "aarch64", if it is not this one."""
    text = _text(root / "proc/cpuinfo") or ""
    for key in ("model name", "Hardware"):
        if found := re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE):
            return found[1].strip()[:200]
    if board := _text(root / "proc/device-tree/model"):
        return board.strip("\0\n ")[:200]
    implementer = re.search(r"^CPU implementer\s*:\s*(\S+)$", text, re.MULTILINE)
    part = re.search(r"^CPU part\s*:\s*(\S+)$", text, re.MULTILINE)
    if implementer and part:
        return f"{machine or platform.machine()} implementer {implementer[1]} part {part[1]}"
    return machine or platform.processor() or platform.machine() or None


def cpu_features(root: Path = _ROOT) -> tuple[str, ...]:
    """Instruction sets of the processor that matter to the kernels."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _text(root / "proc/cpuinfo") or "", re.MULTILINE)
    have = set(found[1].split()) if found else set()
    return tuple(feature for feature in _FEATURES if feature in have)


def governor(root: Path = _ROOT) -> str | None:
    """The frequency governor of the first core that has one."""
    for path in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")):
        if text := _text(path):
            return text.strip()[:40]
    return None


def affinity() -> tuple[int, ...]:
    """The cores on which this process may run."""
    return tuple(sorted(os.sched_getaffinity(0)))


def cores_by_clock(which: Literal["big", "little"], root: Path = _ROOT) -> tuple[int, ...]:
    """The cores with the highest or the lowest top clock; none if the machine does not tell clocks."""
    clocks: dict[int, float] = {}
    for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq"):
        if (khz := _number(path)) is not None:
            clocks[int(path.parts[-3].removeprefix("cpu"))] = khz
    if not clocks:
        return ()
    wanted = max(clocks.values()) if which == "big" else min(clocks.values())
    return tuple(sorted(core for core, khz in clocks.items() if khz == wanted))


def machine_state(root: Path = _ROOT) -> MachineState:
    """Load, clocks, temperatures and battery at this moment."""
    load = (_text(root / "proc/loadavg") or "").split()[:3]
    frequencies = [
        _number(path) for path in _sensors(root, "sys/devices/system/cpu", "cpu[0-9]*/cpufreq/scaling_cur_freq")
    ]
    mhz = [khz / 1000.0 for khz in frequencies if khz]
    if not mhz:
        mhz = [
            float(value) for value in re.findall(r"^cpu MHz\s*:\s*([0-9.]+)$", _text(root / "proc/cpuinfo") or "", re.M)
        ]
    temperatures: dict[str, float] = {}
    for zone in _sensors(root, "sys/class/thermal", "thermal_zone*/temp"):
        celsius = _number(zone)
        kind = (_text(zone.with_name("type")) or "").strip()
        if celsius is not None and re.fullmatch(r"[\w.-]{1,60}", kind):
            temperatures[f"{zone.parent.name} {kind}"] = celsius / 1000.0
    battery, on_battery = _battery(root)
    return MachineState(
        load_avg=tuple(float(value) for value in load if re.fullmatch(r"\d+\.\d+", value)),
        frequencies_mhz=tuple(mhz),
        temperatures_c=temperatures,
        battery_percent=battery,
        on_battery=on_battery,
    )


def versions() -> dict[str, str]:
    """Versions of the software that the samples depend on."""
    found = {"python": platform.python_version(), "kernel": f"{platform.system()} {platform.release()}"}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """The wall clock in UTC, ISO 8601 to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def file_sha256(path: Path) -> str:
    """sha256 of a file, 64 lower-case hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _battery(root: Path) -> tuple[float | None, bool | None]:
    for supply in _sensors(root, "sys/class/power_supply", "*/capacity"):
        percent = _number(supply)
        status = (_text(supply.with_name("status")) or "").strip()
        if percent is not None:
            return percent, status == "Discharging" if status else None
    return None, None


def _sensors(root: Path, folder: str, pattern: str) -> list[Path]:
    return sorted((root / folder).glob(pattern))[:_MAX_SENSORS]


def _number(path: Path) -> float | None:
    text = (_text(path) or "").strip()
    return float(text) if re.fullmatch(r"-?\d{1,12}", text) else None


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_SENSOR_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
