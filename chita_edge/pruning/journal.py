"""Journal of a long solve: finished parts are kept, so that it can go on after it was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Compute = Callable[[], dict[str, torch.Tensor]]


class Journal(Protocol):
    """Remembers the results of parts of a deterministic computation."""

    def remember(self, key: str, compute: Compute) -> dict[str, torch.Tensor]:
        """Result of ``compute()``, taken from the journal where a part of this name is there.

        Args:
            key: name of the part, unique within one computation.
            compute: returns named tensors; what else it changes is not repeated when its result is known.
        """

    def knows(self, key: str) -> bool:
        """Whether `remember` would not compute."""


class Prefixed:
    """A journal whose keys begin with something more, for one of several computations that share it."""

    def __init__(self, journal: Journal, prefix: str) -> None:
        self._journal, self._prefix = journal, prefix

    def remember(self, key: str, compute: Compute) -> dict[str, torch.Tensor]:
        """Delegates to the journal."""
        return self._journal.remember(self._prefix + key, compute)

    def knows(self, key: str) -> bool:
        """Delegates to the journal."""
        return self._journal.knows(self._prefix + key)


class Forgetful:
    """The journal that keeps nothing: every part is computed."""

    def remember(self, key: str, compute: Compute) -> dict[str, torch.Tensor]:
        """``compute()``."""
        del key
        return compute()

    def knows(self, key: str) -> bool:
        """Never."""
        del key
        return False


FORGETFUL = Forgetful()
