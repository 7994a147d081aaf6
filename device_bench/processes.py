"""Put the samples of several processes together in one results file."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from device_bench.errors import MeasurementError
from device_bench.results import Benchmark, Results, TimedState, most_rounds

if TYPE_CHECKING:
    from collections.abc import Sequence


def merged(runs: Sequence[Results]) -> Results:
    """One results file of processes that ran one after another; ``process_samples`` says which samples are whose.

    Times continue from one process to the next. Where all together would be too many for a file, every second sample of
    every process is kept, or every third, and so on. MeasurementError if the processes measured different models.
    """
    first, *others = runs
    if not others:
        return first
    if any(run.names != first.names for run in others):
        raise MeasurementError("The processes of one run measured different models.")
    stride = _stride(runs)
    offsets = [0.0]
    for run in runs[:-1]:
        offsets.append(offsets[-1] + _length(run))
    told = [f"Of the rounds one in {stride} is kept, so that the results file does not become too large."]
    warnings = list(dict.fromkeys(text for run in runs for text in run.context.warnings))
    context = first.context.model_copy(
        update={
            "after": runs[-1].context.after,
            "meanwhile": tuple(
                TimedState(at_s=state.at_s + offset, state=state.state)
                for run, offset in zip(runs, offsets, strict=True)
                for state in run.context.meanwhile[::stride]
            ),
            "warnings": (*warnings, *(told if stride > 1 else ())),
        }
    )
    benchmarks = tuple(_together([run.benchmark(name) for run in runs], offsets, stride) for name in first.names)
    return Results(context=context, benchmarks=benchmarks)


def _together(parts: Sequence[Benchmark], offsets: Sequence[float], stride: int) -> Benchmark:
    counts = tuple(len(part.samples[::stride]) for part in parts)
    times = [
        tuple(at + offset for at in part.timestamps_s[::stride]) for part, offset in zip(parts, offsets, strict=True)
    ]
    zones = set.intersection(*(set(part.temperatures_c) for part in parts))
    sessions = [part.session_ms for part in parts if part.session_ms is not None]
    return parts[0].model_copy(
        update={
            "samples": tuple(sample for part in parts for sample in part.samples[::stride]),
            "process_samples": counts,
            "timestamps_s": tuple(at for part in times for at in part) if all(times) else (),
            "frequencies_mhz": _column([part.frequencies_mhz for part in parts], stride),
            "temperatures_c": {
                zone: _column([part.temperatures_c[zone] for part in parts], stride)
                for zone in parts[0].temperatures_c
                if zone in zones
            },
            "battery_percent": _column([part.battery_percent for part in parts], stride),
            "sensors_age_s": _column([part.sensors_age_s for part in parts], stride),
            "warmup_rounds": _largest([part.warmup_rounds for part in parts]),
            "warmup_stable": None if parts[0].warmup_stable is None else all(part.warmup_stable for part in parts),
            "session_ms": statistics.median(sessions) if sessions else None,
            "peak_memory_bytes": _largest([part.peak_memory_bytes for part in parts]),
            "steady_memory_bytes": _largest([part.steady_memory_bytes for part in parts]),
        }
    )


def _column(columns: Sequence[tuple[float, ...]], stride: int) -> tuple[float, ...]:
    """The readings of all processes, none if one has none: a column stands beside every sample or beside none."""
    return tuple(value for column in columns for value in column[::stride]) if all(columns) else ()


def _largest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _length(run: Results) -> float:
    """Seconds until the last sample of a process began."""
    return max((benchmark.timestamps_s[-1] for benchmark in run.benchmarks if benchmark.timestamps_s), default=0.0)


def _stride(runs: Sequence[Results]) -> int:
    benchmarks = runs[0].benchmarks
    sensors = max(len(benchmark.temperatures_c) + bool(benchmark.battery_percent) for benchmark in benchmarks)
    rounds = sum(max(len(benchmark.samples) for benchmark in run.benchmarks) for run in runs)
    return -(-rounds // most_rounds(len(benchmarks), sensors))
