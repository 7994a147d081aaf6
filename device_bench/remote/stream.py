"""Output of the native runner: lines for sensors and samples, then a results file on one line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from device_bench.errors import MeasurementError, ResultsError
from device_bench.results import Benchmark, Context, Results, parse
from device_bench.sampling.profile import op_times
from device_bench.sampling.sensors import Reading, columns

_SAMPLE = re.compile(r"s ([\w./-]{1,200}) (\d{1,18}) (\d{1,18}\.\d{3}) (\d{1,6}) (\d{1,18})\n")
_SENSOR = re.compile(r"z (\d{1,2}) ([!-~][ -~]{0,62})\n")
_VALUE = re.compile(r"c (\d{1,2}) (-?\d{1,10})\n")
_THINNED = "t\n"


@dataclass
class RunnerOutput:
    """Collects the lines as they come, so that the samples are there even if the rest never comes."""

    names: tuple[str, ...]
    samples: dict[str, list[tuple[int, float, Reading]]] = field(default_factory=dict)
    document: str | None = None
    garbled: str | None = None
    thinned: int = 1
    """One in so many rounds is kept."""
    latest_s: float = 0.0
    """When the latest sample began."""
    _sensors: list[str] = field(default_factory=list)
    _values: tuple[int, ...] = ()

    def hear(self, line: str) -> None:
        """Take one line; a line that the runner does not print is kept as garbled, once."""
        if not self._heard(line):
            self.garbled = self.garbled or line[:200]

    def _heard(self, line: str) -> bool:
        if found := _SAMPLE.fullmatch(line):
            name, start, elapsed, mhz, age = found.groups()
            if name not in self.names:
                return False
            reading = Reading(float(mhz) or None, self._values, int(age))
            self.samples.setdefault(name, []).append((int(start), float(elapsed), reading))
            self.latest_s = int(start) / 1e9
        elif found := _VALUE.fullmatch(line):
            index = int(found[1])
            if index >= len(self._values):
                return False
            self._values = (*self._values[:index], int(found[2]), *self._values[index + 1 :])
        elif found := _SENSOR.fullmatch(line):
            # All sensors are named before the first sample: every sample has as many values.
            if int(found[1]) != len(self._sensors) or self.samples or found[2] in self._sensors:
                return False
            self._sensors.append(found[2])
            self._values += (0,)
        elif line == _THINNED:
            self.samples = {name: taken[::2] for name, taken in self.samples.items()}
            self.thinned *= 2
        elif line.startswith("{") and self.document is None:
            self.document = line
        else:
            return False
        return True

    @property
    def rounds(self) -> int:
        """Samples that every model has."""
        return min((len(self.samples.get(name, ())) for name in self.names), default=0)

    def results(self) -> Results:
        """The finished results. MeasurementError if the output is garbled or incomplete."""
        if self.garbled is not None or self.document is None:
            what = f"this: {self.garbled!r}" if self.garbled else "no result"
            raise MeasurementError(f"The runner on the device printed {what}.")
        try:
            results = parse(self.document.encode(), "the runner's output")
        except ResultsError as error:
            raise MeasurementError(str(error)) from error
        if results.names != self.names:
            raise MeasurementError(f"The runner measured {', '.join(results.names)}, not {', '.join(self.names)}.")
        return _with_profiles(results, json.loads(self.document))

    def partial(self, why: str) -> Results | None:
        """Samples so far, cut to whole rounds and marked as cut off; None if there are none."""
        rounds = self.rounds
        if not rounds:
            return None
        benchmarks = []
        for name in self.names:
            taken = self.samples[name][:rounds]
            benchmarks.append(
                Benchmark(
                    **columns(self._sensors, [entry[2] for entry in taken]),
                    name=name,
                    time_unit="ns",
                    samples=tuple(max(entry[1], 0.001) for entry in taken),
                    timestamps_s=tuple(entry[0] / 1e9 for entry in taken),
                )
            )
        kept = f" (one in {self.thinned} is kept)" if self.thinned > 1 else ""
        cut_off = f"The run was cut off after {rounds * self.thinned} rounds{kept}: {why}"[:1000]
        return Results(context=Context(interleaved=True, warnings=(cut_off,)), benchmarks=tuple(benchmarks))


def _with_profiles(results: Results, document: dict[str, list[dict[str, object]]]) -> Results:
    """The results with the traces that the runner put beside the samples, if it was asked for them."""
    benchmarks = tuple(
        benchmark.model_copy(update={"profile": op_times(entry["trace"])}) if "trace" in entry else benchmark
        for benchmark, entry in zip(results.benchmarks, document["benchmarks"], strict=True)
    )
    return results.model_copy(update={"benchmarks": benchmarks})
