from __future__ import annotations

import gc
import itertools

import pytest

from device_bench.errors import MeasurementError
from device_bench.plan import BenchPlan
from device_bench.sampling.interleave import clock_step, interleave
from device_bench.sampling.sensors import Reading


class Machine:
    """A clock in ns, and callables that take time on it."""

    def __init__(self, step: int = 1) -> None:
        self.time, self.step, self.order = 0, step, ""

    def clock(self) -> int:
        self.time += 1
        return self.time // self.step * self.step

    def work(self, name: str, ns: int):
        def run() -> None:
            self.time += ns
            self.order += name

        return run


def test_samples_are_the_times_and_stamps_ascend() -> None:
    machine = Machine()
    series = interleave(
        {"d": machine.work("d", 3_000_000), "s": machine.work("s", 1_000_000)},
        BenchPlan(samples=50),
        clock=machine.clock,
    )
    assert set(series) == {"d", "s"}
    for name, ns in (("d", 3_000_000), ("s", 1_000_000)):
        assert series[name].samples_ns == pytest.approx((ns,) * 50, rel=1e-3)
        assert list(series[name].starts_ns) == sorted(series[name].starts_ns)
        assert series[name].warmup_stable
        assert series[name].warmup_rounds == 10
        assert series[name].inner == 1


def rounds(order: str, warmup: int, samples: int) -> list[str]:
    measured = order[2 * warmup :]
    return [measured[4 * i : 4 * i + 4] for i in range(samples)]


def test_every_round_runs_each_model_twice_in_an_order_drawn_from_the_seed() -> None:
    orders = []
    for seed in (1, 1, 2):
        machine = Machine()
        runs = {"d": machine.work("d", 3_000_000), "s": machine.work("s", 1_000_000)}
        interleave(runs, BenchPlan(samples=60, seed=seed), clock=machine.clock)
        orders.append(rounds(machine.order, 10, 60))
    assert set(orders[0]) == {"ddss", "ssdd"}
    assert 15 < orders[0].count("ddss") < 45
    assert orders[0] == orders[1] != orders[2]


def test_abba() -> None:
    machine = Machine()
    runs = {"d": machine.work("d", 3_000_000), "s": machine.work("s", 1_000_000)}
    interleave(runs, BenchPlan(samples=6, order="abba"), clock=machine.clock)
    assert rounds(machine.order, 10, 6) == ["ddss", "ssdd"] * 3


def test_short_runs_are_repeated_until_a_coarse_clock_sees_them() -> None:
    machine = Machine(step=1000)
    series = interleave({"s": machine.work("s", 50_000)}, BenchPlan(samples=9), clock=machine.clock)["s"]
    assert series.inner >= 20
    assert series.samples_ns == pytest.approx((50_000,) * 9, rel=2e-3)


def test_a_clock_that_stands_still_gives_no_zero() -> None:
    series = interleave({"s": lambda: None}, BenchPlan(samples=3, warmup_rounds=2), clock=lambda: 7)["s"]
    assert min(series.samples_ns) > 0
    assert clock_step(lambda: 7) == 1


def test_warm_up_is_bounded_in_rounds_and_time_and_says_so() -> None:
    machine, ns = Machine(), 1_000_000

    def slower_each_time() -> None:
        nonlocal ns
        ns = int(ns * 1.1)
        machine.time += ns

    series = interleave({"s": slower_each_time}, BenchPlan(samples=1, warmup_rounds=30), clock=machine.clock)["s"]
    assert series.warmup_rounds == 30
    assert not series.warmup_stable
    slow = Machine()
    series = interleave({"s": slow.work("s", 4 * 10**9)}, BenchPlan(samples=1, warmup_s=10.0), clock=slow.clock)["s"]
    assert series.warmup_rounds == 3


def test_duration_goes_on_after_the_samples_and_progress_reaches_one() -> None:
    machine, told = Machine(), []
    plan = BenchPlan(samples=5, duration_s=1.0)
    series = interleave({"s": machine.work("s", 10_000_000)}, plan, clock=machine.clock, progress=told.append)
    assert len(series["s"].samples_ns) == 100
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_long_run_keeps_as_many_rounds_as_fit_at_equal_distances() -> None:
    """1,001 rounds with room for 64: every sixteenth is kept, from the first to one of the last, each as it was."""
    machine, told = Machine(), []
    work = {name: machine.work(name, 1_000_000) for name in "ds"}
    plan = BenchPlan(samples=1001, warmup_rounds=2)
    found = interleave(
        work, plan, clock=machine.clock, keep=64, sense=lambda ns: told.append(ns) or Reading(None, (), 0)
    )
    assert len(told) == 2002
    for series in found.values():
        assert (series.rounds, series.stride, series.inner) == (1001, 16, 1)
        assert len(series.samples_ns) == len(series.sensed) == 63
        assert series.samples_ns == pytest.approx((1_000_000,) * 63, rel=1e-3)
        steps = {b // 4_000_000 - a // 4_000_000 for a, b in itertools.pairwise(series.starts_ns)}
        assert steps <= {15, 16, 17}
        assert series.starts_ns[-1] > 0.97 * 1001 * 4_000_000


@pytest.mark.parametrize("keep", [0, 1, 2, 3, 7, 1000])
def test_whatever_there_is_room_for_the_run_is_made_and_pairs_stay_pairs(keep: int) -> None:
    machine = Machine()
    work = {name: machine.work(name, 1_000_000) for name in "ds"}
    found = interleave(work, BenchPlan(samples=100, order="abba", warmup_rounds=2), clock=machine.clock, keep=keep)
    d, s = found["d"], found["s"]
    assert d.rounds == 100
    assert len(d.samples_ns) == len(s.samples_ns) == -(-100 // d.stride) <= max(keep, 2)
    assert all(abs(a - b) == pytest.approx(2_000_000, rel=1e-3) for a, b in zip(d.starts_ns, s.starts_ns, strict=True))


def test_garbage_collection_is_off_meanwhile_and_back_afterwards_even_after_an_error() -> None:
    seen = []

    def run() -> None:
        seen.append(gc.isenabled())
        if len(seen) > 20:
            raise RuntimeError("unplugged")

    assert gc.isenabled()
    with pytest.raises(MeasurementError, match="s ran at first and then failed while it was measured: unplugged"):
        interleave({"s": run}, BenchPlan(samples=50))
    assert not any(seen)
    assert gc.isenabled()
