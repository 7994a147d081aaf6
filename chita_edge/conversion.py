"""`convert`: an already pruned network into a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.distributed.ranks import ALONE
from chita_edge.errors import UsageError
from chita_edge.layer_facts import layer_facts
from chita_edge.network.batch import check_images, copy_network, float32_network
from chita_edge.network.objective import find_objective
from chita_edge.network.targets import layer_weights, pointwise_and_linear
from chita_edge.progress import Progress, silent
from chita_edge.prune_channels import CHANNEL_STRUCTURES, prune_channels
from chita_edge.prune_config import PruneConfig
from chita_edge.prune_result import PruneResult, figures_of
from chita_edge.prune_run import Run, known_augmentation
from chita_edge.pruning import Constraint, Problem, Solution, get_allocation, get_pattern
from chita_edge.pruning.conversion import convert as convert_weights
from chita_edge.stopwatch import Stopwatch
from chita_edge.torch_threads import torch_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from chita_edge.datasets import LabelledImages


def convert(
    model: nn.Module,
    pruned: nn.Module,
    calibration: LabelledImages,
    config: PruneConfig | None = None,
    *,
    prunable: Sequence[str] | None = None,
    progress: Progress = silent,
) -> PruneResult:
    """Move a pruned network into the configuration's structure and sparsity, losing as little as it can.

    The quadratic stays the one around the dense network. Supports are searched for from the pruned network's own, see
    `chita_edge.pruning.conversion`; layers are then refitted and batch norm recalibrated as the method says. Whatever
    is not prunable is the dense network's. The trace begins with the objective of what projecting by magnitude would
    give. For whole filters and channels the pruned network is pruned further instead, as any other.

    Args:
        model: the dense network; not changed.
        pruned: the same architecture with zeros, pruned by any method; not changed.
        calibration: images as the network takes them, with labels.
        config: structure, sparsity and the rest; the method decides what follows the conversion.
        prunable: names of the weights that may become zero; the 1×1 convolutions' and linear layers' when None.
        progress: called with stages "gradients", "solve", and as the method needs "reconstruct" and "batch norm".

    Raises:
        ChitaEdgeError: an unknown name, a budget that cannot be met, a tensor that is not finite; distillation is
            asked for; or the two networks differ in shape.
    """
    config = config or PruneConfig()
    calibration = calibration.float32()
    model, pruned = (copy_network(float32_network(network)).eval() for network in (model, pruned))
    check_images(calibration.images, calibration.labels)
    if config.distill_epochs:
        raise UsageError("A conversion does not distil. Convert first, then prune the result with distillation.")
    with torch_threads(config.threads):
        return _convert(model, pruned, calibration, config, prunable, progress)


def _convert(
    model: nn.Module,
    pruned: nn.Module,
    calibration: LabelledImages,
    config: PruneConfig,
    prunable: Sequence[str] | None,
    progress: Progress,
) -> PruneResult:
    if config.structure in CHANNEL_STRUCTURES:
        return prune_channels(pruned, calibration, config, prunable=prunable, progress=progress)
    pattern = get_pattern(config.structure)
    names = layer_weights(model, pointwise_and_linear(model) if prunable is None else prunable)
    dense, converted = (copy_network(model).eval() for _ in range(2))
    weights, given = dict(dense.named_parameters()), dict(pruned.named_parameters())
    for name in names:
        if name not in given or name not in weights or given[name].shape != weights[name].shape:
            raise UsageError(f"The pruned network and the dense one are not of the same kind: they differ in {name}.")
    start = torch.cat([given[name].detach().flatten() for name in names])
    facts = layer_facts(dense, dense, names, config, calibration.images[:1])
    shapes = tuple(weights[name].shape for name in names)
    constraint = Constraint(pattern, shapes, get_allocation(config.allocation)(shapes, config.sparsity, facts))
    stopwatch = Stopwatch()
    objective = find_objective(dense, calibration.images, calibration.labels)
    augmentation = known_augmentation(dense, calibration, config, ALONE, objective)
    run = Run(
        converted,
        dense,
        calibration,
        names,
        config,
        _Converter(start),
        augmentation,
        objective,
        stopwatch,
        progress=progress,
    )
    solution, masks = run.stage(0, constraint)
    masks = run.finish(constraint, masks)
    figures = figures_of(config, solution, masks, len(calibration.images), stopwatch.seconds)
    return PruneResult(converted, masks, figures)


@dataclass(frozen=True)
class _Converter:
    """The search for supports near those of given weights, flat (p,), as a solver."""

    start: torch.Tensor
    name: str = "convert"

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """See `chita_edge.pruning.conversion.convert`."""
        return convert_weights(problem, self.start, constraint, progress=progress)
