"""Layer-wise reconstruction of a network, first layer to last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.activations import input_moments
from chita_edge.calibration.followers import following_batch_norms
from chita_edge.calibration.walk import Walk, call_order
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
    ridge: float = 1e-2,
    search: bool = True,
    progress: Progress = silent,
) -> dict[str, torch.Tensor]:
    """Refit each pruned layer, in the network's order, to give the dense outputs from the pruned network's inputs.

    Needs no labels. Each layer sees what the layers before it, already refitted, hand on, and so repairs part of what
    they lost. Where a batch norm follows, only deviations from the mean are fitted, and the batch norm's running mean
    is moved to make up for the difference of the means. Its variance is kept: a channel that can be
    explained in part only has less variance than before, and to scale that up again would amplify its error.

    Args:
        pruned: the network whose weights and running means are replaced, in place; in evaluation mode.
        dense: the network it came from; in evaluation mode.
        images: calibration images, all of them in memory at once in each layer.
        constraints: for each weight to refit, its set: pattern and budget of this one layer.
        masks: for each, the mask to start from.
        ridge: pull towards the dense weights, in units of the mean squared input.
        search: look for a better support under the same budget; otherwise keep the masks.
        progress: called with stage "reconstruct".

    Returns:
        The masks found, by name, in the order of ``masks``.
    """
    found: dict[str, torch.Tensor] = {}
    parameters, originals = dict(pruned.named_parameters()), dict(dense.named_parameters())
    modules = dict(pruned.named_modules())
    names = call_order(dense, tuple(masks), images[:1])
    norms = following_batch_norms(pruned, names, images[:1])
    progress("reconstruct", 0, len(names))
    with Walk(pruned, names, images) as walk, Walk(dense, names, images) as reference:
        for number, name in enumerate(names):
            (_, inputs), (_, dense_inputs) = walk.next(), reference.next()  # type: ignore[misc]
            norm = norms.get(name)
            layer = modules[name.removesuffix(".weight")]
            moments = input_moments(name, layer, inputs, dense_inputs, centred=norm is not None)
            weight = originals[name].detach().flatten(1)
            fit = LayerFit(weight, moments.gram, moments.cross, ridge)
            start = masks[name].flatten(1)
            if search:
                constraint = constraints[name]

                def project(scores: torch.Tensor, constraint: Constraint = constraint) -> torch.Tensor:
                    return constraint.project(scores.flatten()).view(scores.shape)

                weights, support = search_support(fit, start, project)
            else:
                weights, support = solve_rows(fit, start), start
            with torch.no_grad():
                parameters[name].copy_(weights.view_as(parameters[name]))
                if norm is not None and norm.running_mean is not None:
                    norm.running_mean += weights @ moments.mean - weight @ moments.dense_mean
            found[name] = support.view(masks[name].shape)
            progress("reconstruct", number + 1, len(names))
    return {name: found[name] for name in masks}
