"""Layer-wise reconstruction of a network, first layer to last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.activations import input_moments
from chita_edge.progress import Progress, silent
from chita_edge.pruning.reconstruction import LayerFit, search_support, solve_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from chita_edge.pruning import Constraint


def reconstruct(
    pruned: nn.Module,
    dense: nn.Module,
    images: torch.Tensor,
    constraints: Mapping[str, Constraint],
    masks: Mapping[str, torch.Tensor],
    *,
    ridge: float = 1e-3,
    search: bool = True,
    progress: Progress = silent,
) -> dict[str, torch.Tensor]:
    """Refit each pruned layer, in the network's order, to give the dense outputs from the pruned network's inputs.

    Needs no labels. Each layer sees what the layers before it, already refitted, hand on, and so repairs part of what
    they lost.

    Args:
        pruned: the network whose weights are replaced, in place; in evaluation mode.
        dense: the network it came from; in evaluation mode.
        images: calibration images.
        constraints: for each weight to refit, its set: pattern and budget of this one layer.
        masks: for each, the mask to start from.
        ridge: pull towards the dense weights, in units of the mean squared input.
        search: look for a better support under the same budget; otherwise keep the masks.
        progress: called with stage "reconstruct".

    Returns:
        The masks found, by name.
    """
    found: dict[str, torch.Tensor] = {}
    parameters, originals = dict(pruned.named_parameters()), dict(dense.named_parameters())
    progress("reconstruct", 0, len(masks))
    for number, (name, mask) in enumerate(masks.items()):
        moments = input_moments(pruned, dense, name, images)
        weight = originals[name].detach().flatten(1)
        fit = LayerFit(weight, moments.gram, moments.cross, ridge)
        start = mask.flatten(1)
        if search:
            constraint = constraints[name]

            def project(scores: torch.Tensor, constraint: Constraint = constraint) -> torch.Tensor:
                return constraint.project(scores.flatten()).view(scores.shape)

            weights, support = search_support(fit, start, project)
        else:
            weights, support = solve_rows(fit, start), start
        with torch.no_grad():
            parameters[name].copy_(weights.view_as(parameters[name]))
        found[name] = support.view(mask.shape)
        progress("reconstruct", number + 1, len(masks))
    return found
