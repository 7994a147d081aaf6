"""Differentiation of networks that change tensors in place."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from torch.autograd.graph import allow_mutation_on_saved_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

_MUTATED = "modified by an inplace operation"


class InPlaceGuard:
    """Runs forward and backward passes; after the first that a change in place breaks, with copies where one changes.

    Copies on every write cost time, which only networks pay that need them.
    """

    def __init__(self) -> None:
        self._needed = False

    def run(self, differentiate: Callable[[], T]) -> T:
        """Result of ``differentiate``, a forward and backward pass that may be run twice."""
        try:
            with allow_mutation_on_saved_tensors() if self._needed else nullcontext():
                return differentiate()
        except RuntimeError as error:
            if self._needed or _MUTATED not in str(error):
                raise
        self._needed = True
        return self.run(differentiate)
