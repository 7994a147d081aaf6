"""`convert`: an already pruned network into a pattern."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from chita_edge.engine.channels import prune_channels
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.objective import run_objective
from chita_edge.engine.plan import resolve
from chita_edge.engine.result import PruneResult
from chita_edge.engine.run import Run
from chita_edge.engine.threads import torch_threads
from chita_edge.errors import UsageError
from chita_edge.network.batch import check_images, copy_network, float32_network
from chita_edge.network.rewrite import rewritten
from chita_edge.progress import Progress, silent
from chita_edge.pruning import Constraint, Problem, Solution
from chita_edge.pruning.conversion import convert as convert_weights
from chita_edge.stopwatch import Stopwatch

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
        progress: called with phases "gradients", "solve", and as the method needs "reconstruct" and "batch norm".

    Raises:
        ChitaEdgeError: an unknown name, a budget that cannot be met, a tensor that is not finite; distillation is
            asked for; or the two networks differ in shape.
    """
    config = config or PruneConfig()
    calibration = calibration.float32()
    model, pruned = (copy_network(float32_network(network)).eval() for network in (model, pruned))
    for network in (model, pruned):
        rewritten(network)
    check_images(calibration.images, calibration.labels)
    if config.distill_epochs:
        raise UsageError("A conversion does not distil. Convert first, then prune the result with distillation.")
    with torch_threads(config.threads):
        plan = resolve(config, model, prunable, calibration.images[:1])
        objective = run_objective(model, calibration, config)
        if plan.side is not None:
            return prune_channels(pruned, calibration, plan, objective=objective, progress=progress)
        weights, given = dict(model.named_parameters()), dict(pruned.named_parameters())
        for name in plan.names:
            if name not in given or given[name].shape != weights[name].shape:
                raise UsageError(f"The pruned network and the dense one are of different kinds: they differ in {name}.")
        start = torch.cat([given[name].detach().flatten() for name in plan.names])
        plan = replace(plan, solver=_Converter(start), sparsities=(config.sparsity,))
        return Run(plan, model, calibration, objective, Stopwatch(), progress=progress).result()


@dataclass(frozen=True)
class _Converter:
    """Solver that searches supports near the support of given weights, flat (p,)."""

    start: torch.Tensor
    name: str = "convert"
    needs_gradients: bool = True

    def solve(self, problem: Problem, constraint: Constraint, progress: Progress = silent) -> Solution:
        """See `chita_edge.pruning.conversion.convert`."""
        return convert_weights(problem, self.start, constraint, progress=progress)
