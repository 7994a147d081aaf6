"""Interleaved timing of several callables, round by round, so that drift affects all alike."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from device_bench.errors import MeasurementError
from device_bench.results import MAX_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from device_bench.plan import BenchPlan
    from device_bench.sampling.sensors import Reading

    Clock = Callable[[], int]
    Progress = Callable[[float], object]

_WINDOW = 5  # runs whose median must agree with that of the runs before
_SETTLED = 0.02
_RESOLUTIONS = 1000  # a sample lasts at least this many steps of the clock, so that reading it costs 0.1 %
_MAX_INNER = 100_000


@dataclass(frozen=True)
class Series:
    """Samples of one callable: ns a run (a mean if ``inner`` > 1), and when each began (ns since the first round).

    ``sensed`` holds what stood beside each, if anything was asked for. There were ``rounds``, of which every
    ``stride``-th is kept.
    """

    samples_ns: tuple[float, ...]
    starts_ns: tuple[int, ...]
    inner: int
    warmup_rounds: int
    warmup_stable: bool
    sensed: tuple[Reading, ...]
    rounds: int
    stride: int


@dataclass
class _Kept:
    """The rounds that are kept: when there are too many, every second one goes, and so will every second that comes.

    What is left are single samples at equal distances over the whole run: their median, quantiles and modes are those
    of the run, which means of several runs would not have.
    """

    names: tuple[str, ...]
    most: int
    rows: dict[str, list[tuple[float, int, Reading | None]]] = field(default_factory=dict)
    rounds: int = 0
    stride: int = 1

    def begin_round(self) -> bool:
        """Whether the round that begins is kept."""
        while self.rounds % self.stride == 0 and len(self.rows.setdefault(self.names[0], [])) >= max(self.most, 2):
            self.rows = {name: rows[::2] for name, rows in self.rows.items()}
            self.stride *= 2
        self.rounds += 1
        return (self.rounds - 1) % self.stride == 0


def interleave(
    runs: Mapping[str, Callable[[], object]],
    plan: BenchPlan,
    *,
    clock: Clock = time.perf_counter_ns,
    progress: Progress | None = None,
    sense: Callable[[int], Reading] | None = None,
    keep: int = MAX_ROUNDS,
) -> dict[str, Series]:
    """Warm up, then take ``plan.samples`` rounds (more until ``plan.duration_s`` has passed): each once a round.

    When there are several, or sensors are read between, each timed run directly follows an untimed one of the same
    callable, so that every sample finds its own data in the caches, as it would in an app that runs one model. Garbage
    collection is off meanwhile. ``progress`` is told the share that is done, from 0 to 1. ``sense`` is called after
    each sample with the time that it took; what it gives is kept beside it. At most ``keep`` rounds are kept, at equal
    distances. MeasurementError names the callable that raised something, and what it raised.
    """
    rng = random.Random(plan.seed)  # noqa: S311 (an order, not a secret)
    with _no_garbage_collection():
        inner, rounds, stable = _warm_up(runs, plan, clock)
        kept = _Kept(tuple(runs), keep, {name: [] for name in runs})
        begin = clock()
        duration_ns = plan.duration_s * 1e9
        while kept.rounds < plan.samples or clock() - begin < duration_ns:
            keeps = kept.begin_round()
            for name in _order(list(runs), kept.rounds - 1, plan, rng):
                run = runs[name]
                try:
                    if len(runs) > 1 or sense:
                        run()
                    elapsed, start = _timed(run, inner[name], clock)
                except Exception as error:  # ONNX Runtime raises classes of its own that share no base but Exception
                    raise _failed(name, error) from error
                # A clock that did not move (a coarse one, or one set back) has seen less than one step, not nothing.
                sample = max(elapsed, 1) / inner[name]
                sensed = sense(elapsed) if sense else None
                if keeps:
                    kept.rows[name].append((sample, start - begin, sensed))
            if progress is not None:
                passed = (clock() - begin) / duration_ns if duration_ns else 1.0
                progress(min(kept.rounds / plan.samples, passed, 1.0))
    series = {}
    for name, rows in kept.rows.items():
        samples, starts = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
        beside = tuple(row[2] for row in rows if row[2] is not None)
        series[name] = Series(samples, starts, inner[name], rounds, stable[name], beside, kept.rounds, kept.stride)
    return series


def _failed(name: str, error: Exception) -> MeasurementError:
    return MeasurementError(f"{name} ran at first and then failed while it was measured: {error}")


def _timed(run: Callable[[], object], inner: int, clock: Clock) -> tuple[int, int]:
    """How long ``inner`` runs took, and when the first began."""
    if inner == 1:  # not a loop of one: the model has pushed Python's own code out of the caches, and each step counts
        start = clock()
        run()
        return clock() - start, start
    start = clock()
    for _ in range(inner):
        run()
    return clock() - start, start


def clock_step(clock: Clock) -> int:
    """The smallest step that ``clock`` is seen to make, in its own unit; at least 1."""
    steps = []
    for _ in range(20):
        start, polls = clock(), 0
        while (now := clock()) <= start and polls < 200_000:
            polls += 1
        if now <= start:
            break  # a clock that stands still is not waited for
        steps.append(now - start)
    return max(min(steps, default=1), 1)


def _warm_up(
    runs: Mapping[str, Callable[[], object]], plan: BenchPlan, clock: Clock
) -> tuple[dict[str, int], int, dict[str, bool]]:
    """Run in turns until settled or out of bounds; (inner repetitions, rounds, settled) by name."""
    shortest = _RESOLUTIONS * clock_step(clock)
    times: dict[str, list[int]] = {name: [] for name in runs}
    begin, rounds = clock(), 0
    stable = dict.fromkeys(runs, False)
    # Two rounds whatever the bounds: a first run allocates, and inner repetitions need one honest time.
    while rounds < 2 or (rounds < plan.warmup_rounds and clock() - begin < plan.warmup_s * 1e9):
        for name, run in runs.items():
            start = clock()
            try:
                run()
            except Exception as error:
                raise _failed(name, error) from error
            times[name].append(clock() - start)
        rounds += 1
        stable = {name: _settled(times[name]) for name in runs}
        if all(stable.values()):
            break
    least = {name: max(min(taken[1:]), 1) for name, taken in times.items()}
    inner = {name: max(math.ceil(shortest / ns), 1) for name, ns in least.items()}
    return {name: min(count, _MAX_INNER) for name, count in inner.items()}, rounds, stable


def _settled(times: list[int]) -> bool:
    if len(times) < 2 * _WINDOW:
        return False
    before = statistics.median(times[-2 * _WINDOW : -_WINDOW])
    return abs(statistics.median(times[-_WINDOW:]) - before) <= _SETTLED * before


def _order(names: list[str], taken: int, plan: BenchPlan, rng: random.Random) -> list[str]:
    if plan.order == "abba":
        return names if taken % 2 == 0 else names[::-1]
    rng.shuffle(names)
    return names


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
