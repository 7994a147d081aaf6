"""Search of a layer's support by the alternating direction method of multipliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.pruning.reconstruction.row_solve import solve_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning.reconstruction.layer_fit import LayerFit

    Project = Callable[[torch.Tensor], torch.Tensor]


def search_support(
    fit: LayerFit, start: torch.Tensor, project: Project, *, iterations: int = 60, first_penalty: float = 0.1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse weights of small f, at most those of ``start`` (ALPS: Meng et al. 2024, arXiv 2406.07831, section 3).

    In coordinates scaled to a unit diagonal of H, with a penalty β that grows,

        W ← (G − V + βD)(H + βI)⁻¹,   D ← P(W + V/β),   V ← V + β(W − D),

    where one eigendecomposition of H serves all β. P goes by the geometric mean of a weight's square as it is and as
    scaled: the first overlooks inputs that are large, the second fits the calibration images too closely. The last
    support and ``start`` are compared after an exact solution on each.

    Args:
        fit: the layer.
        start: bool (out, K), a mask of the set.
        project: from scores (out, K) to the mask of the set with the largest total score.
        iterations: of the search.
        first_penalty: β at the start, in units of H's diagonal, which scaling makes 1.

    Returns:
        Weights (out, K), and their mask.
    """
    scale = fit.hessian.diagonal().rsqrt()
    hessian = fit.hessian * scale * scale[:, None]
    target = fit.target * scale
    values, vectors = torch.linalg.eigh(hessian)
    values.clamp_(min=0)
    rotated = target @ vectors
    best_weights, best_mask = solve_rows(fit, start), start
    best = fit.objective(best_weights)

    sparse = fit.dense / scale * start
    dual = torch.zeros_like(sparse)
    penalty, mask = first_penalty, start
    for _ in range(iterations):
        dense = ((rotated + (penalty * sparse - dual) @ vectors) / (values + penalty)) @ vectors.T
        moved = dense + dual / penalty
        previous = mask
        mask = project(moved.square() * scale)
        sparse = moved * mask
        dual = dual + penalty * (dense - sparse)
        changed = float((mask != previous).sum()) / max(1, int(start.sum()))
        penalty *= 1.3 if changed > 0.1 else 1.1 if changed > 0.005 else 1.02
        if not changed and penalty > first_penalty * 10:
            break
    weights = solve_rows(fit, mask)
    value = fit.objective(weights)
    return (weights, mask) if value < best else (best_weights, best_mask)
