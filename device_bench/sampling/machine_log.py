"""Read the machine's sensors now and then while samples are taken, between rounds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from device_bench.results import TimedState
from device_bench.sampling import context

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_bench.results import MachineState
    from device_bench.sampling.interleave import Progress

_EVERY_NS: Final = 1_000_000_000
_MOST: Final = 1024


class Looks:
    """What was ``seen``; ``between_rounds`` passes on to ``progress`` the share that is done."""

    def __init__(
        self,
        progress: Progress | None,
        *,
        clock: Callable[[], int] = time.perf_counter_ns,
        read: Callable[[], MachineState] = context.machine_state,
    ) -> None:
        self.seen: list[TimedState] = []
        self._progress, self._clock, self._read = progress, clock, read
        self._begin: int | None = None
        self._last = 0
        self._every = _EVERY_NS

    def between_rounds(self, share: float) -> None:
        """Look once a second (in a long run every second second, and so on); the first round begins the count."""
        now = self._clock()
        if self._begin is None:
            self._begin = self._last = now
        if now - self._last > self._every:
            self._last = now
            if len(self.seen) == _MOST:
                self.seen, self._every = self.seen[::2], 2 * self._every
            self.seen.append(TimedState(at_s=(now - self._begin) / 1e9, state=self._read()))
        if self._progress:
            self._progress(share)
