from __future__ import annotations

from chita_edge.stopwatch import Stopwatch


def test_adds_up_by_stage() -> None:
    ticks = iter([0.0, 1.0, 5.0, 7.0, 7.0, 7.5])
    watch = Stopwatch(lambda: next(ticks))
    for stage in ("solve", "fit", "solve"):
        with watch.timed(stage):
            pass
    assert watch.seconds == {"solve": 1.5, "fit": 2.0}
