"""Progress of long work, phase by phase, as its caller is told."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with the phase's name, the units done so far and their total; the first call of a phase has ``done`` 0."""

    def __call__(self, phase: str, done: int, total: int, /) -> None:
        """Report that ``done`` of ``total`` units of ``phase`` are finished."""


def silent(phase: str, done: int, total: int, /) -> None:
    """A `Progress` that reports nothing."""
    del phase, done, total
