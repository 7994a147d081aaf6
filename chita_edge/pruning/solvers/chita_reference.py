"""CHITA as the paper has it, on one page: what the fast solvers are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.progress import Progress, silent
from chita_edge.pruning.solvers.solver import Solution

if TYPE_CHECKING:
    from chita_edge.pruning.allocation import Constraint
    from chita_edge.pruning.problem import Problem


@dataclass(frozen=True)
class ChitaReference:
    """Algorithm 1 of Benbaki et al. 2023 (arXiv 2302.14623) in dense algebra and float64; slow, for small problems.

    With H = AᵀA + nλI and s = φAᵀ1 the quadratic is Q(w) = ½ dᵀH d + sᵀd, d = w − w̄. Iterative hard thresholding
    repeats w ← P(w − τ∇Q) with the exact step along the ray on the support that w has, doubled while Q falls
    (section 3.1); the weights are then the solution of H_SS w_S = (H w̄ − s)_S on the support S (section 3.2). The two
    alternate until the support stays.

    Attributes:
        rounds: most alternations.
        steps: most steps of a thresholding.
    """

    rounds: int = 20
    steps: int = 50
    name: str = "chita_reference"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """Weights of the constraint's set; the trace falls monotonically."""
        rows, dense = problem.together().double(), problem.dense.double()
        hessian = rows @ rows.T + problem.damping * torch.eye(len(dense), dtype=torch.float64)
        slope = problem.first_order * rows.sum(1)

        def value(weights: torch.Tensor) -> float:
            moved = weights - dense
            return float(0.5 * moved @ hessian @ moved + slope @ moved)

        def best_on(mask: torch.Tensor) -> torch.Tensor:
            weights = torch.zeros_like(dense)
            weights[mask] = torch.linalg.lstsq(hessian[mask][:, mask], (hessian @ dense - slope)[mask, None]).solution[
                :, 0
            ]
            return weights

        weights = best_on(constraint.project(problem.dense.square()))
        trace = [value(weights)]
        for number in range(self.rounds):
            progress("solve", number, self.rounds)
            point = weights
            for _ in range(self.steps):
                gradient = hessian @ (point - dense) + slope
                free = gradient * (point != 0) if bool((gradient * (point != 0)).abs().max() > 1e-9) else gradient
                step = float(free @ free / (free @ hessian @ free).clamp_min(1e-30))
                found = _thresholded(constraint, point - step * gradient)
                while value(further := _thresholded(constraint, point - 2 * step * gradient)) < value(found):
                    step, found = 2 * step, further
                if value(found) >= value(point):
                    break
                point = found
            candidate = best_on(point != 0)
            if value(candidate) >= trace[-1] - 1e-12 * abs(trace[-1]):
                break
            weights = candidate
            trace.append(value(weights))
        progress("solve", self.rounds, self.rounds)
        return Solution(weights.float(), weights != 0, trace[-1], tuple(trace))


def _thresholded(constraint: Constraint, weights: torch.Tensor) -> torch.Tensor:
    return weights * constraint.project(weights.square().float())
