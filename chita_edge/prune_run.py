"""One run of pruning: its stages, the choice between ridges, refitting and batch norm; in one process or several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.distributed.ranks import ALONE
from chita_edge.network.batch import copy_network
from chita_edge.network.distance import Answers
from chita_edge.progress import Progress, silent
from chita_edge.prune_methods import get_method
from chita_edge.prune_stage import Stages
from chita_edge.pruning import Constraint
from chita_edge.pruning.journal import FORGETFUL
from chita_edge.reconstruction import reconstruct
from chita_edge.tuning import familiar_augmentation, recalibrated_if_closer
from chita_edge.tuning.closer import closest
from chita_edge.tuning.familiar import CANDIDATES, PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from chita_edge.calibration import GradientMatrix
    from chita_edge.calibration.distributed.ranks import Ranks
    from chita_edge.datasets import LabelledImages
    from chita_edge.network.objective import Objective
    from chita_edge.prune_config import PruneConfig
    from chita_edge.pruning import Solution, Solver
    from chita_edge.resume import StateFolder
    from chita_edge.stopwatch import Stopwatch
    from chita_edge.tuning.views import Augmentation

# Images that networks are compared on to choose between ridges.
_JUDGED = 500


@dataclass(frozen=True)
class Run:
    """What the parts of one run have in common.

    Attributes:
        pruned: the network that is pruned, in place; in evaluation mode.
        dense: what it was.
        calibration: images and labels.
        names: weights to prune.
        config: how.
        solver: chooses the weights.
        augmentation: what the dense network knows.
        objective: of the dense network.
        stopwatch: told of the time of each stage.
        state: where finished work goes, if anywhere.
        ranks: the processes that do this together.
        progress: told of everything.
    """

    pruned: nn.Module
    dense: nn.Module
    calibration: LabelledImages
    names: Sequence[str]
    config: PruneConfig
    solver: Solver
    augmentation: Augmentation
    objective: Objective
    stopwatch: Stopwatch
    state: StateFolder | None = None
    ranks: Ranks = ALONE
    progress: Progress = silent

    def stage(
        self, number: int, constraint: Constraint, gradients: GradientMatrix | None = None
    ) -> tuple[Solution, dict[str, torch.Tensor]]:
        """Take the gradients, solve, and write the solution into the network; the solution, and the masks."""
        stages = Stages(
            self.calibration,
            self.names,
            self.config,
            self.solver,
            self.state,
            self.ranks,
            self.progress,
            self.augmentation if self.config.augment else None,
            self.stopwatch,
            self._distance,
            self.objective,
        )
        solution = stages.run(number, self.pruned, constraint, gradients)
        return solution, _apply(self.names, solution, self.pruned)

    def between_stages(self, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Gradients of a network whose statistics are wrong say little: one view corrects them. Returns the masks."""
        if self._leads:
            self._recalibrate(1)
        return self._share(masks)

    def finish(self, constraint: Constraint, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What follows the solver: the leader refits the layers and recalibrates batch norm. Returns the masks."""
        config, images = self.config, self.calibration.images
        if get_method(config.method).reconstruct:
            with self.stopwatch.timed("reconstruct"):
                sets = {n: Constraint(constraint.pattern, (mask.shape,), int(mask.sum())) for n, mask in masks.items()}
                journaled = self.state is not None and self._leads
                masks = reconstruct(
                    self.pruned,
                    self.dense,
                    images[: config.fit_images],
                    sets,
                    masks,
                    ridge=config.fit_ridge,
                    memory_bytes=config.memory_budget_bytes,
                    journal=self.state.journal.under("reconstruct") if journaled and self.state else FORGETFUL,
                    ranks=self.ranks,
                    progress=self.progress,
                )
        if self._leads:
            self._recalibrate(config.recalibration_views, self.progress)
        return self._share(masks)

    def _share(self, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give all ranks the leader's network and masks."""
        return share(self.ranks, self.pruned, masks)

    @property
    def _leads(self) -> bool:
        return self.ranks.leads

    def _recalibrate(self, views: int, progress: Progress = silent) -> None:
        """Replace the batch-norm statistics, in place, where that helps."""
        with self.stopwatch.timed("batch norm"):
            if self.config.recalibration_views:
                self.pruned.load_state_dict(self._recalibrated(self.pruned, views, progress).state_dict())

    def _recalibrated(self, model: nn.Module, views: int, progress: Progress = silent) -> nn.Module:
        return recalibrated_if_closer(
            model,
            self.dense,
            self.calibration.images,
            views=views,
            augmentation=self.augmentation,
            objective=self.objective,
            seed=self.config.seed,
            progress=progress,
        )

    def _distance(self, solution: Solution) -> float:
        """How far the network with these weights is from the dense one, batch norm recalibrated if that helps."""
        model = copy_network(self.pruned)
        _apply(self.names, solution, model)
        if not self.config.recalibration_views:
            return self._answers.divergence(model)
        found = closest(
            model,
            self._answers,
            self.calibration.images,
            augmentation=self.augmentation,
            seed=self.config.seed,
        )
        return found.divergence

    @cached_property
    def _answers(self) -> Answers:
        """The dense network's on some images: a choice between networks needs few."""
        return Answers.of(self.dense, self.calibration.images[:_JUDGED], self.objective)


def share(ranks: Ranks, model: nn.Module, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give all ranks the leader's network and masks."""
    if ranks.size == 1:
        return masks
    state = model.state_dict()
    mine = {**{f"state/{name}": tensor for name, tensor in state.items()}, **masks} if ranks.leads else None
    found = ranks.hand_out(mine)
    model.load_state_dict({name: found[f"state/{name}"] for name in state})
    return {name: found[name] for name in masks}


def known_augmentation(
    dense: nn.Module, calibration: LabelledImages, config: PruneConfig, ranks: Ranks, objective: Objective
) -> Augmentation:
    """What the network knows, as the leader finds it; not looked for where nothing would use it."""
    if not config.augment and not config.recalibration_views:
        return PLAIN
    found = (
        familiar_augmentation(dense, calibration.images, objective=objective, seed=config.seed)
        if ranks.leads
        else CANDIDATES[0]
    )
    _, number, *_ = ranks.command(0, CANDIDATES.index(found))
    return CANDIDATES[number]


def _apply(names: Sequence[str], solution: Solution, model: nn.Module) -> dict[str, torch.Tensor]:
    """Write the solution into the parameters; returns the masks."""
    parameters = [model.get_parameter(name) for name in names]
    sizes = [parameter.numel() for parameter in parameters]
    parts = torch.split(solution.weights, sizes), torch.split(solution.mask, sizes)
    masks = {}
    with torch.no_grad():
        for name, parameter, weights, mask in zip(names, parameters, *parts, strict=True):
            parameter.copy_(weights.view_as(parameter))
            masks[name] = mask.view(parameter.shape).clone()
    return masks
