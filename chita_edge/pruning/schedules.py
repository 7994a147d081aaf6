"""Schedules of rising sparsity over the rounds of pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.pruning.errors import PruningError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    Schedule = Callable[[float, int], tuple[float, ...]]


def exponential(sparsity: float, rounds: int) -> tuple[float, ...]:
    """The kept share falls by the same factor in each round."""
    return tuple(1 - (1 - sparsity) ** (number / rounds) for number in range(1, rounds + 1))


def polynomial(sparsity: float, rounds: int) -> tuple[float, ...]:
    """Cubic: s (1 − (1 − t)³), fast at first (Zhu and Gupta 2017, arXiv 1710.01878, equation 1)."""
    return tuple(sparsity * (1 - (1 - number / rounds) ** 3) for number in range(1, rounds + 1))


def linear(sparsity: float, rounds: int) -> tuple[float, ...]:
    """Linear schedule: the same number of weights is removed in each round."""
    return tuple(sparsity * number / rounds for number in range(1, rounds + 1))


def constant(sparsity: float, rounds: int) -> tuple[float, ...]:
    """The final sparsity at once; later rounds correct the choice with fresh gradients."""
    return (sparsity,) * rounds


SCHEDULES: dict[str, Schedule] = {
    "exponential": exponential,
    "polynomial": polynomial,
    "linear": linear,
    "constant": constant,
}


def get_schedule(name: str) -> Schedule:
    """The schedule called ``name``: from the final sparsity and the number of rounds to the sparsity of each round.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    if name not in SCHEDULES:
        raise UnknownNameError(f"There is no schedule {name!r}; there are: {', '.join(SCHEDULES)}.")
    return SCHEDULES[name]


def round_sparsities(name: str, sparsity: float, rounds: int) -> tuple[float, ...]:
    """The sparsity of each round; the last is ``sparsity`` itself.

    Raises:
        PruningError: there is not at least one round.
        UnknownNameError: no such schedule.
    """
    if rounds < 1:
        raise PruningError(f"Pruning in {rounds} rounds is not possible; there must be at least one.")
    return (*get_schedule(name)(sparsity, rounds)[:-1], sparsity)
