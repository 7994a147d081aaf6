"""What the native runner prints: a line for every sample, then a results file on one line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from device_bench.errors import MeasurementError, ResultsError
from device_bench.profile import op_times
from device_bench.results import Benchmark, Context, Results, parse

_SAMPLE = re.compile(r"s ([\w./-]{1,200}) (\d{1,18}) (\d{1,18}\.\d{3}) (\d{1,6})\n")


@dataclass
class RunnerOutput:
    """Collects the lines as they come, so that the samples are there even if the rest never comes."""

    names: tuple[str, ...]
    samples: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    document: str | None = None
    garbled: str | None = None

    def hear(self, line: str) -> None:
        """Take one line; a line that the runner does not print is kept as garbled, once."""
        if found := _SAMPLE.fullmatch(line):
            name, start, elapsed, mhz = found.groups()
            if name in self.names:
                self.samples.setdefault(name, []).append((int(start), float(elapsed), int(mhz)))
                return
        elif line.startswith("{") and self.document is None:
            self.document = line
            return
        self.garbled = self.garbled or line[:200]

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
        """What there is of the samples, cut to whole rounds and marked as cut off; None if there is nothing."""
        rounds = self.rounds
        if not rounds:
            return None
        benchmarks = []
        for name in self.names:
            taken = self.samples[name][:rounds]
            mhz = tuple(float(entry[2]) for entry in taken)
            benchmarks.append(
                Benchmark(
                    name=name,
                    time_unit="ns",
                    samples=tuple(max(entry[1], 0.001) for entry in taken),
                    timestamps_s=tuple(entry[0] / 1e9 for entry in taken),
                    frequencies_mhz=mhz if all(mhz) else (),
                )
            )
        context = Context(interleaved=True, warnings=(f"The run was cut off after {rounds} rounds: {why}"[:1000],))
        return Results(context=context, benchmarks=tuple(benchmarks))


def _with_profiles(results: Results, document: dict[str, list[dict[str, object]]]) -> Results:
    """The results with the traces that the runner put beside the samples, if it was asked for them."""
    benchmarks = tuple(
        benchmark.model_copy(update={"profile": op_times(entry["trace"])}) if "trace" in entry else benchmark
        for benchmark, entry in zip(results.benchmarks, document["benchmarks"], strict=True)
    )
    return results.model_copy(update={"benchmarks": benchmarks})
