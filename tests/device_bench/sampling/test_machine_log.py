from __future__ import annotations

from device_bench.results import MachineState
from device_bench.sampling.machine_log import MachineLog


def test_looks_once_a_second_and_passes_progress_on() -> None:
    times = iter([5_000_000_000 + step * 400_000_000 for step in range(10)])
    told: list[float] = []
    warmth = iter(range(30, 40))
    log = MachineLog(
        told.append, clock=lambda: next(times), read=lambda: MachineState(temperatures_c={"soc": float(next(warmth))})
    )
    for step in range(10):
        log.between_rounds(step / 10)
    assert told == [step / 10 for step in range(10)]
    assert [(look.at_s, look.state.temperatures_c["soc"]) for look in log.states] == [
        (1.2, 30.0),
        (2.4, 31.0),
        (3.6, 32.0),
    ]


def test_a_short_run_is_not_looked_at() -> None:
    log = MachineLog(None, clock=lambda: 7, read=MachineState)
    log.between_rounds(1.0)
    assert log.states == []
