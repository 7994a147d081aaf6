"""One run of pruning: rounds of gradients and choice, then refitting and batch norm; in one process or several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.distributed.ranks import ALONE, Ranks
from chita_edge.calibration.distributed.sharded_columns import lead, serve
from chita_edge.engine.budgets import open_constraint, whole_constraint
from chita_edge.engine.facts import layer_facts
from chita_edge.engine.gradients import mean_curvature, no_gradients, round_gradients, round_images
from chita_edge.engine.reconstruct import reconstruct
from chita_edge.engine.result import PruneResult, figures_of
from chita_edge.network.batch import copy_network
from chita_edge.network.distance import Answers
from chita_edge.progress import Progress, silent
from chita_edge.pruning import Constraint, Layer, Problem, Solution
from chita_edge.pruning.journal import FORGETFUL, Journal, Prefixed
from chita_edge.tuning import infer_training_augmentation, recalibrate_bn_if_better
from chita_edge.tuning.bn_recalibration import best_recalibration
from chita_edge.tuning.training_augmentation import CANDIDATES, PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from chita_edge.calibration import GradientMatrix
    from chita_edge.datasets import LabelledImages
    from chita_edge.engine.plan import PruningPlan
    from chita_edge.network.objective import Objective
    from chita_edge.stopwatch import Stopwatch
    from chita_edge.storage.state_folder import StateFolder
    from chita_edge.tuning.views import Augmentation

    Masks = dict[str, torch.Tensor]

# Images that networks are compared on to choose between ridges.
_JUDGED = 500


@dataclass(frozen=True)
class Run:
    """Prunes a copy of one network by one plan; found parts are taken from the state folder.

    Attributes:
        plan: how.
        dense: the network; in evaluation mode, not changed.
        calibration: images and labels.
        objective: of the dense network.
        stopwatch: told of the time of each part.
        state: where finished work goes, if anywhere.
        ranks: the processes that do this together.
        progress: told of everything.
    """

    plan: PruningPlan
    dense: nn.Module
    calibration: LabelledImages
    objective: Objective
    stopwatch: Stopwatch
    state: StateFolder | None = None
    ranks: Ranks = ALONE
    progress: Progress = silent

    def result(self, gradients: GradientMatrix | None = None) -> PruneResult:
        """Prune.

        Args:
            gradients: of the first round, where they are at hand.
        """
        for number, sparsity in enumerate(self.plan.sparsities):
            constraint = self._constraint(sparsity)
            solution = self._round(number, constraint, None if number else gradients)
            masks = _apply(self.plan.names, solution, self.pruned)
            if number + 1 < len(self.plan.sparsities):
                # Gradients of a network whose statistics are wrong say little: one view corrects them.
                masks = self._recalibrated(masks, 1)
        masks = self._refitted(constraint, masks)
        masks = self._recalibrated(masks, self.plan.config.recalibration_views, self.progress)
        samples = len(self.calibration.images)
        figures = figures_of(self.plan.config, solution, masks, samples, self.stopwatch.seconds)
        return PruneResult(self.pruned, masks, figures)

    @cached_property
    def pruned(self) -> nn.Module:
        """The copy that is pruned, in place; in evaluation mode."""
        return copy_network(self.dense).eval()

    @cached_property
    def augmentation(self) -> Augmentation:
        """Training augmentation of the dense network, as the leader finds it; not looked for where nothing uses it."""
        config = self.plan.config
        if not config.recalibration_views and not (config.augment and self.plan.needs_gradients):
            return PLAIN
        found = CANDIDATES[0]
        if self.ranks.leads:
            found = infer_training_augmentation(
                self.dense, self.calibration.images, objective=self.objective, seed=config.seed
            )
        _, number, *_ = self.ranks.command(0, CANDIDATES.index(found))
        return CANDIDATES[number]

    def _constraint(self, sparsity: float) -> Constraint:
        """Constraint of a round, of the layers whose budgets are free."""
        shapes = tuple(self.pruned.get_parameter(name).shape for name in self.plan.names)
        facts = layer_facts(self.dense, self.pruned, self.plan, self.calibration.images[:1])
        return open_constraint(self.plan, shapes, sparsity, facts)

    def _round(self, number: int, constraint: Constraint, gradients: GradientMatrix | None) -> Solution:
        """Take gradients and choose weights: the leader's solution, for which it asks the others' samples."""
        name, ranks, config = f"round-{number:03}", self.ranks, self.plan.config
        sparsity = self.plan.sparsities[number]
        journal: Journal = FORGETFUL if self.state is None else self.state.journal.under(name)
        augmentation = self.augmentation
        _, known_to_leader, *_ = ranks.command(0, int(journal.knows("solution")))
        found: dict[str, torch.Tensor] | None = None
        if known_to_leader or not self.plan.needs_gradients:
            if ranks.leads:
                empty = no_gradients(self.pruned, self.plan.names)
                found = journal.remember("solution", lambda: self._solve(empty, constraint, journal, sparsity))
        else:
            rows = round_images(self.calibration, config) // config.samples_per_row
            step = -(-config.gradient_batch // config.samples_per_row)
            shares = [ranks.share(rows, step, rank) for rank in range(ranks.size)]
            mine = gradients or self._gradients(number, shares[ranks.rank], name, augmentation)
            if not ranks.leads:
                serve(mine, ranks, shares)
            else:
                with lead(mine, ranks, shares) as matrix:
                    found = journal.remember("solution", lambda: self._solve(matrix, constraint, journal, sparsity))
        tensors = ranks.hand_out(found)
        if self.state is not None:
            self.state.discard_gradients(name)
        objective, trace = tensors["objective"].tolist(), tensors["trace"].tolist()
        return Solution(tensors["weights"], tensors["mask"], objective[0] if objective else None, tuple(trace))

    def _gradients(self, number: int, rows: slice, name: str, augmentation: Augmentation) -> GradientMatrix:
        with self.stopwatch.timed("gradients"):
            return round_gradients(
                self.pruned,
                self.calibration,
                self.plan,
                number,
                rows,
                objective=self.objective,
                augmentation=augmentation,
                keep_in=None if self.state is None else self.state.gradients(name),
                progress=self.progress,
            )

    def _solve(
        self, gradients: GradientMatrix, constraint: Constraint, journal: Journal, sparsity: float
    ) -> dict[str, torch.Tensor]:
        """Solve with each ridge; the solution whose network is closest to the dense one."""
        plan, config = self.plan, self.plan.config
        with self.stopwatch.timed("solve"):
            weights = dict(self.pruned.named_parameters())
            layers = tuple(Layer(n, weights[n].detach().cpu().clone(), gradients.blocks[n]) for n in plan.names)
            scale = journal.remember(
                "curvature", lambda: {"layers": torch.tensor([mean_curvature([layer]) for layer in layers]).double()}
            )
            curvatures = scale["layers"].tolist()
            sizes = [layer.weight.numel() for layer in layers]
            mean = sum(h * size for h, size in zip(curvatures, sizes, strict=True)) / max(1, sum(sizes))
            tensors = [layer.weight for layer in layers]
            constraint = whole_constraint(plan, constraint, tensors, curvatures, sparsity)
        solutions = []
        for ridge in plan.ridges:
            with self.stopwatch.timed("solve"):
                problem = Problem(
                    layers,
                    ridge * mean,
                    float(config.first_order),
                    journal if len(plan.ridges) == 1 else Prefixed(journal, f"ridge-{ridge:g}/"),
                    config.memory_budget_bytes,
                )
                solutions.append(plan.solver.solve(problem, constraint, self.progress))
        solution = solutions[0]
        if len(solutions) > 1:
            with self.stopwatch.timed("choice of ridge"):
                solution = min(solutions, key=self._distance)
        return {
            "weights": solution.weights,
            "mask": solution.mask,
            "objective": torch.tensor([v for v in (solution.objective,) if v is not None], dtype=torch.float64),
            "trace": torch.tensor(solution.trace, dtype=torch.float64),
        }

    def _distance(self, solution: Solution) -> float:
        """Distance of the network with these weights from the dense one, batch norm recalibrated if that helps."""
        model = copy_network(self.pruned)
        _apply(self.plan.names, solution, model)
        if not self.plan.config.recalibration_views:
            return self._answers.divergence(model)
        images, seed = self.calibration.images, self.plan.config.seed
        return best_recalibration(model, self._answers, images, augmentation=self.augmentation, seed=seed).divergence

    @cached_property
    def _answers(self) -> Answers:
        """The dense network's on some images: a choice between networks needs few."""
        return Answers.of(self.dense, self.calibration.images[:_JUDGED], self.objective)

    def _refitted(self, constraint: Constraint, masks: Masks) -> Masks:
        """Refit the layers, where the method does; the leader searches, on all ranks' sums. Returns the masks."""
        if not self.plan.method.reconstruct:
            return masks
        config = self.plan.config
        sets = {n: Constraint(constraint.pattern, (mask.shape,), int(mask.sum())) for n, mask in masks.items()}
        with self.stopwatch.timed("reconstruct"):
            return reconstruct(
                self.pruned,
                self.dense,
                self.calibration.images[: config.fit_images],
                sets,
                masks,
                ridge=config.fit_ridge,
                memory_bytes=config.memory_budget_bytes,
                journal=FORGETFUL if self.state is None else self.state.journal.under("reconstruct"),
                ranks=self.ranks,
                progress=self.progress,
            )

    def _recalibrated(self, masks: Masks, views: int, progress: Progress = silent) -> Masks:
        """Replace the batch-norm statistics where that helps, on the leader; give all ranks its network and masks."""
        augmentation = self.augmentation
        with self.stopwatch.timed("batch norm"):
            if self.ranks.leads and self.plan.config.recalibration_views:
                better = recalibrate_bn_if_better(
                    self.pruned,
                    self.dense,
                    self.calibration.images,
                    views=views,
                    augmentation=augmentation,
                    objective=self.objective,
                    seed=self.plan.config.seed,
                    progress=progress,
                )
                self.pruned.load_state_dict(better.state_dict())
        return share(self.ranks, self.pruned, masks)


def share(ranks: Ranks, model: nn.Module, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give all ranks the leader's network and masks."""
    if ranks.size == 1:
        return masks
    state = model.state_dict()
    mine = {**{f"state/{name}": tensor.cpu() for name, tensor in state.items()}, **masks} if ranks.leads else None
    found = ranks.hand_out(mine)
    model.load_state_dict({name: found[f"state/{name}"] for name in state})
    return {name: found[name] for name in masks}


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
