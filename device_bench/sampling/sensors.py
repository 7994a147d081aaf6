"""Sensor readings beside every sample: files opened once, read between samples, as the native runner does."""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from device_bench.results import MAX_ZONES
from device_bench.sampling.context import machine_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SHARE = 10  # of a sample's time, one part goes to sensors
_BATTERY = "battery"


class Reading(NamedTuple):
    """Sensor readings beside one sample: ``values`` as in the files, ``age_ns`` as in the results."""

    mhz: float | None
    values: tuple[int, ...]
    age_ns: int


class SensorReader:
    """Descriptors of this machine's sensors: clocks of the cores, temperature zones, battery.

    Zones and battery are read in turns, for a tenth of the sample's time or until each was read, at least one: a zone
    of a phone may take a tenth of a millisecond, and there may be dozens.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        clock: Callable[[], int] = time.perf_counter_ns,
        core: Callable[[], int] | None = None,
    ) -> None:
        self._clock, self._core = clock, core or _this_core()
        self._clocks: dict[int, int] = {}
        for path in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")):
            with suppress(OSError):
                self._clocks[int(path.parts[-3].removeprefix("cpu"))] = _open(path)
        self.labels: list[str] = []
        self._files: list[int] = []
        state = machine_state(root)
        for label in list(state.temperatures_c)[:MAX_ZONES]:
            self._add(root / "sys/class/thermal" / label.partition(" ")[0] / "temp", label)
        for path in sorted((root / "sys/class/power_supply").glob("*/capacity"))[:1]:
            self._add(path, _BATTERY)
        self._values = [_read(file) or 0 for file in self._files]
        self._read_at = [self._clock()] * len(self._files)
        self._next = 0

    def _add(self, path: Path, label: str) -> None:
        with suppress(OSError):
            file = _open(path)
            if _read(file) is None:
                os.close(file)
                return
            self._files.append(file)
            self.labels.append(label)

    @property
    def found(self) -> bool:
        """Whether there is any sensor at all."""
        return bool(self._files or self._clocks)

    def close(self) -> None:
        """Give the descriptors back."""
        for file in (*self._files, *self._clocks.values()):
            os.close(file)
        self._files, self._clocks = [], {}

    def after_sample(self, elapsed_ns: int) -> Reading:
        """Read as many sensors as time allows, right after a sample of ``elapsed_ns``."""
        ended = self._clock()
        mhz = None
        if self._clocks and (file := self._clocks.get(self._core())) is not None and (khz := _read(file)):
            mhz = khz / 1000.0
        for turn in range(len(self._files)):
            if turn and self._clock() - ended > elapsed_ns // _SHARE:
                break
            value = _read(self._files[self._next])
            if value is not None:  # else it keeps its old value, and its age says so
                self._values[self._next], self._read_at[self._next] = value, self._clock()
            self._next = (self._next + 1) % len(self._files)
        oldest = min(self._read_at, default=ended)
        return Reading(mhz, tuple(self._values), max(ended - oldest, 0))


def columns(labels: Sequence[str], readings: Sequence[Reading]) -> dict[str, Any]:
    """Fields of :class:`device_bench.results.Benchmark` with the sensor readings of each sample."""
    found: dict[str, Any] = {}
    if readings and all(reading.mhz for reading in readings):
        found["frequencies_mhz"] = tuple(reading.mhz for reading in readings)
    if not labels:
        return found
    temperatures = {}
    for index, label in enumerate(labels):
        values = [reading.values[index] for reading in readings]
        if label == _BATTERY:
            found["battery_percent"] = tuple(map(float, values))
        else:
            temperatures[label] = tuple(value / 1000.0 for value in values)
    ages = tuple(round(reading.age_ns / 1e9, 6) for reading in readings)
    return found | {"temperatures_c": temperatures, "sensors_age_s": ages}


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _read(file: int) -> int | None:
    """A file of /sys gives its present value to every read from its beginning."""
    try:
        return int(os.pread(file, 40, 0))
    except (OSError, ValueError):
        return None


def _this_core() -> Callable[[], int]:
    """The C library's own function: Python has none for the core on which it runs."""
    try:
        found: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return lambda: -1
    return found
