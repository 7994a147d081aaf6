"""Tell every process of a group when one of them fails, beside the collectives that they may be waiting in."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from chita_edge.calibration.errors import CalibrationError
from chita_edge.errors import ChitaEdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from torch.distributed import Store  # type: ignore[attr-defined]

_BEAT_S = 0.5
# Without a beat for so long a process counts as lost; then its peers are interrupted, and ended if that does not help.
LOST_S, GRACE_S = 10.0, 12.0
_FAILURE, _DONE = "failure", "done"


class RankError(CalibrationError):
    """Another process of the group failed or was lost."""


class _Interrupted(BaseException):
    """Raised by the monitor in the thread that computes, wherever that is."""


class FailureMonitor:
    """A thread that writes a sign of life into the group's key-value store, and reads there who has failed.

    A failure is published by `guarded`. A process that computes is interrupted at its next Python instruction; one
    that waits in a collective finds the connection closed, since the process that failed leaves the group; one that
    does neither within `GRACE_S` is ended. All ranks so end within `LOST_S` + `GRACE_S` + a second, however one of
    them ended: by an exception, by Ctrl-C, by ``kill -9``, or with its machine.

    Args:
        store: of this thread alone; its operations time out after some seconds.
        rank: number of this process.
        size: number of processes.
        hosts_store: the store is gone when this process is: it has to stay until the others have read it.
    """

    def __init__(self, store: Store, rank: int, size: int, *, hosts_store: bool) -> None:
        self._store, self._rank, self._size, self._hosts = store, rank, size, hosts_store
        self._reason: str | None = None
        self._left = threading.Event()
        self._lock, self._armed, self._depth = threading.Lock(), False, 0
        self._store.set(self._beat(rank), "0")
        self._thread = threading.Thread(target=self._watch, name="chita-edge ranks", daemon=True)
        self._computing = threading.get_ident()
        self._thread.start()

    def wait_for_all(self, store: Store, patience: timedelta) -> None:
        """Return when all ranks have started; raises RuntimeError when they have not after so long.

        Args:
            store: the same one by another connection, which is busy meanwhile.
            patience: at most.
        """
        store.wait([self._beat(rank) for rank in range(self._size)], patience)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Publish any failure in here; raise another rank's as `RankError`.

        Raises:
            RankError: its message is the sentence of the rank that failed.
        """
        self._depth += 1
        self._arm(True)
        try:
            try:
                yield
            except _Interrupted:
                raise
            except BaseException as error:
                self._arm(False)  # a failure of its own is not to be interrupted by the failure of another
                self._publish(f"Rank {self._rank} of {self._size}: {_sentence(error)}")
                raise
            finally:
                self._depth -= 1
            self._arm(self._depth > 0)
        except _Interrupted:
            self._arm(False)
            raise RankError(self._reason) from None

    def reason(self, seconds: float) -> str | None:
        """The sentence of the rank that failed, waited for so long; None when there is none."""
        end = time.monotonic() + seconds
        with suppress(Exception):  # the store may be what is gone
            # Read here and not by the thread, which may be late: a failure is published before a connection is closed.
            while (found := self._reason or self._published()) is None and time.monotonic() < end:
                time.sleep(0.05)
            return found
        return self._reason

    def leave(self) -> None:
        """End the thread; where the store is this process's, wait until the others have left or are lost."""
        self._left.set()
        self._thread.join()
        with suppress(Exception):
            self._store.set(self._beat(self._rank), _DONE)
            if self._hosts:
                self._wait_for_others()

    def _wait_for_others(self) -> None:
        others = {rank: ("", time.monotonic()) for rank in range(self._size) if rank != self._rank}
        while others:
            for rank in list(others):
                beat, now = self._store.get(self._beat(rank)).decode(), time.monotonic()
                if beat != others[rank][0]:
                    others[rank] = beat, now
                if beat == _DONE or now - others[rank][1] > LOST_S:
                    del others[rank]
            time.sleep(0.05)

    def _watch(self) -> None:
        beats: dict[int, tuple[str, float]] = {}
        count = 0
        while not self._left.wait(_BEAT_S):
            count += 1
            try:
                self._store.set(self._beat(self._rank), str(count))
                reason = self._published() or self._lost(beats)
            except Exception:  # whatever the store raises: it is gone, and with it the process that holds it
                reason = self._gone(0)
            if reason is not None:
                self._end(reason)
                return

    def _published(self) -> str | None:
        return self._store.get(_FAILURE).decode() if self._store.check([_FAILURE]) else None

    def _lost(self, beats: dict[int, tuple[str, float]]) -> str | None:
        now = time.monotonic()
        for rank in range(self._size):
            if not self._store.check([self._beat(rank)]):
                continue  # it has not joined yet
            beat = self._store.get(self._beat(rank)).decode()
            if rank not in beats or beats[rank][0] != beat:
                beats[rank] = beat, now
            elif beat != _DONE and now - beats[rank][1] > LOST_S:
                return self._gone(rank)
        return None

    def _end(self, reason: str) -> None:
        """Interrupt the thread that computes; end the process when that has no effect."""
        self._reason = reason
        self._publish(reason)
        with self._lock:
            if self._armed:
                exception = ctypes.py_object(_Interrupted)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._computing), exception)
        if not self._left.wait(GRACE_S):
            print(f"chita-edge: {reason}", file=sys.stderr, flush=True)  # noqa: T201 (nobody else can)
            os._exit(1)

    def _arm(self, armed: bool) -> None:
        """From here on the thread that computes may, or may not, be interrupted."""
        with self._lock:
            self._armed = armed

    def _publish(self, reason: str) -> None:
        """For all to read, unless another failure came first."""
        with suppress(Exception):  # the store may be what is gone
            self._store.compare_set(_FAILURE, "", reason)

    def _gone(self, rank: int) -> str:
        return (
            f"Rank {rank} of {self._size} does not answer any more: it was ended from outside, or its machine is gone. "
            "Start all of them again."
        )

    def _beat(self, rank: int) -> str:
        return f"beat/{rank}"


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "It was interrupted."
    if isinstance(error, MemoryError):
        return "There was not enough memory."
    told = str(error)
    return told if isinstance(error, ChitaEdgeError) else f"{type(error).__name__}: {told}"
