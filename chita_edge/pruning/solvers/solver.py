"""Interface of a solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from chita_edge.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class Solution:
    """A point of the constraint's set.

    Attributes:
        weights: float32 (p,), zero outside the mask.
        mask: bool (p,), the support.
        objective: Q(weights) of the whole problem; None where the problem has no samples.
        trace: the objective that the solver went by, from its start on; a block solver's is the sum over its blocks.

    """

    weights: torch.Tensor
    mask: torch.Tensor
    objective: float | None
    trace: tuple[float, ...]


class Solver(Protocol):
    """Finds sparse weights of small Q(w); deterministic."""

    @property
    def name(self) -> str:
        """Name in the registry."""

    @property
    def needs_gradients(self) -> bool:
        """Whether the choice depends on the gradients; if not, the problem may have no samples."""

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Weights in the constraint's set. Vectors are flat, see `Problem`."""
