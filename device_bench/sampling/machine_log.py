"""Log of the machine's state (load, clocks, temperatures, battery), about once a second between rounds."""

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


class MachineLog:
    """States of the machine at moments of a run; ``progress`` is told the share that is done."""

    def __init__(
        self,
        progress: Progress | None,
        *,
        clock: Callable[[], int] = time.perf_counter_ns,
        read: Callable[[], MachineState] = context.machine_state,
    ) -> None:
        self.states: list[TimedState] = []
        self._progress, self._clock, self._read = progress, clock, read
        self._begin: int | None = None
        self._last = 0
        self._every = _EVERY_NS

    def between_rounds(self, share: float) -> None:
        """Add the state if a second has passed since the last one; in a long run two seconds, then four, and so on."""
        now = self._clock()
        if self._begin is None:
            self._begin = self._last = now
        if now - self._last > self._every:
            self._last = now
            if len(self.states) == _MOST:
                self.states, self._every = self.states[::2], 2 * self._every
            self.states.append(TimedState(at_s=(now - self._begin) / 1e9, state=self._read()))
        if self._progress:
            self._progress(share)
