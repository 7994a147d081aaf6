"""Tables and progress bars for a person at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LOG_WIDTH = 180
_LOG_SECONDS = 60.0


def log_console() -> Console:
    """Console for progress and remarks: standard error, so that standard output holds data alone."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def data_console() -> Console:
    """Console for tables: standard output; where that is no terminal, so wide that a log can be searched by lines."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_LOG_WIDTH)


class ProgressBars:
    """A `chita_edge.progress.Progress` that draws one bar a phase on standard error.

    Where standard error is no terminal (a CI log) each phase is one line when it ends, without control characters, and
    one a minute with the time left while it lasts.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: dict[str, tuple[float, int]] = {}
        self._told = clock()
        self._console = log_console()
        self._live = self._console.is_terminal
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, phase: str, done: int, total: int, /) -> None:
        """Show that `done` of `total` units of `phase` are finished."""
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total)
        self._bars.update(self._tasks[phase], completed=done, total=total)
        if not self._live:
            self._log(phase, done, total)

    def _log(self, phase: str, done: int, total: int) -> None:
        now = self._clock()
        started, before = self._begun.setdefault(phase, (now, done))
        line = f"{phase}: done" if done >= total else ""
        if not line and done > before and now - self._told >= _LOG_SECONDS:
            left = (now - started) / (done - before) * (total - done)
            line = f"{phase}: {100 * done / total:.0f} %, {_span(left)} left"
        if line:
            self._told = now
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the one place that prints


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"
