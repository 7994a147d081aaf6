"""One stage of pruning: gradients, the quadratic, a solver; resumable, and over several processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration import GradientMatrix, LogitCurvature, per_sample_gradients
from chita_edge.calibration.distributed.ranks import ALONE
from chita_edge.calibration.distributed.sharded_columns import lead, serve
from chita_edge.errors import UsageError
from chita_edge.network.batch import check_images
from chita_edge.network.objective import Objective
from chita_edge.progress import Progress, silent
from chita_edge.prune_methods import curvature_kind, get_method, gradient_views
from chita_edge.pruning import Layer, Problem, Solution
from chita_edge.pruning.allocation.tempered import tempered
from chita_edge.pruning.columns import squared_norms
from chita_edge.pruning.journal import FORGETFUL, Journal, Prefixed
from chita_edge.stopwatch import Stopwatch
from chita_edge.tuning.familiar import PLAIN
from chita_edge.tuning.views import darkest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import nn

    from chita_edge.calibration.distributed.ranks import Ranks
    from chita_edge.datasets import LabelledImages
    from chita_edge.network.capture import Loss
    from chita_edge.prune_config import PruneConfig
    from chita_edge.pruning import Constraint, Solver
    from chita_edge.resume import StateFolder
    from chita_edge.tuning.views import Augmentation

    Solve = Callable[[GradientMatrix], dict[str, torch.Tensor]]

_STORAGE = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Stages:
    """What the stages of one run have in common.

    Attributes:
        calibration: images and labels.
        names: weights to prune.
        config: of the run.
        solver: chooses the weights.
        state: where finished work goes, if anywhere.
        ranks: the processes that do this together.
        progress: called with stages "gradients" and "solve".
        augmentation: of the images whose gradients are taken; none when None.
        stopwatch: told of the time of each stage.
        distance: of the network with a solution's weights from the dense one, where there is a choice of ridges.
        objective: of the dense network; says what the loss is.
    """

    calibration: LabelledImages
    names: Sequence[str]
    config: PruneConfig
    solver: Solver
    state: StateFolder | None = None
    ranks: Ranks = ALONE
    progress: Progress = silent
    augmentation: Augmentation | None = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    distance: Callable[[Solution], float] | None = None
    objective: Objective = field(default_factory=Objective)

    def run(
        self, stage: int, model: nn.Module, constraint: Constraint, gradients: GradientMatrix | None = None
    ) -> Solution:
        """The solution of one stage, the same on all ranks; taken from the state folder where it is known.

        Args:
            stage: its number.
            model: the network as the stage before left it.
            constraint: what the stage may keep.
            gradients: of this network, where they are at hand.
        """
        name = f"stage-{stage:03}"
        journal: Journal = FORGETFUL if self.state is None else self.state.journal.under(name)

        def solve(matrix: GradientMatrix) -> dict[str, torch.Tensor]:
            return self._solve(model, matrix, constraint, journal)

        tensors = self._solution(name, stage, model, journal, solve, gradients)
        if self.state is not None:
            self.state.discard_gradients(name)
        return Solution(
            tensors["weights"], tensors["mask"], float(tensors["objective"]), tuple(tensors["trace"].tolist())
        )

    def _solution(
        self,
        name: str,
        stage: int,
        model: nn.Module,
        journal: Journal,
        solve: Solve,
        gradients: GradientMatrix | None,
    ) -> dict[str, torch.Tensor]:
        """The leader's, which asks the others for what depends on their samples."""
        ranks = self.ranks
        _, known_to_leader, *_ = ranks.command(0, int(journal.knows("solution")))
        result: dict[str, torch.Tensor] | None = None
        if not known_to_leader:
            rows = self._rows()
            step = -(-self.config.gradient_batch // self.config.samples_per_row)
            shares = [ranks.share(rows.stop, step, rank) for rank in range(ranks.size)]
            mine = gradients or self._gradients(model, stage, shares[ranks.rank], name)
            if not ranks.leads:
                serve(mine, ranks, shares)
            else:
                with lead(mine, ranks, shares) as matrix:
                    result = journal.remember("solution", lambda: solve(matrix))
        elif ranks.leads:
            result = journal.remember("solution", dict)
        return ranks.hand_out(result)

    def _rows(self) -> slice:
        """All rows of A of a stage."""
        return slice(0, stage_images(self.calibration, self.config) // self.config.samples_per_row)

    def _gradients(self, model: nn.Module, stage: int, rows: slice, name: str) -> GradientMatrix:
        with self.stopwatch.timed("gradients"):
            kept = None if self.state is None else self.state.gradients(name)
            return stage_gradients(
                model,
                self.calibration,
                self.names,
                self.config,
                stage,
                rows,
                objective=self.objective,
                augmentation=self.augmentation,
                keep_in=kept,
                progress=self.progress,
            )

    def _solve(
        self, model: nn.Module, gradients: GradientMatrix, constraint: Constraint, journal: Journal
    ) -> dict[str, torch.Tensor]:
        method = get_method(self.config.method)
        factors = method.ridges if self.distance is not None else method.ridges[-1:]
        with self.stopwatch.timed("solve"):
            weights = dict(model.named_parameters())
            layers = tuple(Layer(n, weights[n].detach().clone(), gradients.blocks[n]) for n in self.names)
            scale = journal.remember(
                "curvature", lambda: {"layers": torch.tensor([mean_curvature([layer]) for layer in layers]).double()}
            )
            curvatures = scale["layers"].tolist()
            sizes = [layer.weight.numel() for layer in layers]
            mean = sum(h * size for h, size in zip(curvatures, sizes, strict=True)) / max(1, sum(sizes))
            if method.tempering:
                constraint = tempered(constraint, [layer.weight for layer in layers], curvatures, method.tempering)
        solutions = []
        for factor in factors:
            with self.stopwatch.timed("solve"):
                problem = Problem(
                    layers,
                    factor * self.config.ridge * mean,
                    float(self.config.first_order),
                    journal if len(factors) == 1 else Prefixed(journal, f"ridge-{factor:g}/"),
                    self.config.memory_budget_bytes,
                )
                solutions.append(self.solver.solve(problem, constraint, self.progress))
        solution = solutions[-1]
        if self.distance is not None and len(solutions) > 1:
            with self.stopwatch.timed("choice of ridge"):
                solution = min(solutions, key=self.distance)
        return {
            "weights": solution.weights,
            "mask": solution.mask,
            "objective": torch.tensor(solution.objective, dtype=torch.float64),
            "trace": torch.tensor(solution.trace, dtype=torch.float64),
        }


def stage_images(calibration: LabelledImages, config: PruneConfig) -> int:
    """Number of images whose gradients one stage takes.

    Raises:
        UsageError: they do not fill one row.
    """
    total = len(calibration.images)
    count = min(config.gradient_samples or total, total)
    if 0 < count < config.samples_per_row:
        raise UsageError(f"{count} calibration images do not fill one row of {config.samples_per_row} samples.")
    return count - count % config.samples_per_row


def stage_gradients(
    model: nn.Module,
    calibration: LabelledImages,
    names: Sequence[str],
    config: PruneConfig,
    stage: int,
    rows: slice,
    *,
    objective: Objective,
    augmentation: Augmentation | None = None,
    keep_in: tuple[Path, str] | None = None,
    progress: Progress = silent,
) -> GradientMatrix:
    """Some rows of one stage's gradients: each stage takes the next images, round and round, and new views of them."""
    total, taken = len(calibration.images), stage_images(calibration, config)
    first, last = (row * config.samples_per_row for row in (rows.start, rows.stop))
    offset = stage * taken % total
    start, stop = offset + first, offset + last
    # A view where it can be: a thousand large images need not be in memory twice.
    chosen = slice(start, stop) if stop <= total else torch.arange(start, stop) % total
    images, labels = calibration.images[chosen], None if calibration.labels is None else calibration.labels[chosen]
    known = augmentation is not None and augmentation != PLAIN and len(images)
    count = gradient_views(config) if known else 1
    seed = (config.seed * 1000 + stage) * 1_000_003 + start * count
    if known and augmentation is not None:
        check_images(images, None)  # before a shift hides what is wrong
        dark = darkest(calibration.images)
        # Each view has a generator of its own: it does not depend on who takes which rows.
        views = images.new_empty(count * len(images), *images.shape[1:]).contiguous(memory_format=torch.channels_last)
        for number in range(len(views)):
            rng, place = torch.Generator().manual_seed(seed + number), number // count
            views[number] = augmentation.views(images[place : place + 1], rng, dark)[0]
        images, labels = views, None if labels is None else labels.repeat_interleave(count)
    loss: Loss = objective.loss
    if labels is None and get_method(config.method).solver != "magnitude" and curvature_kind(config) == "loss":
        raise UsageError(
            f"The method {config.method!r} takes gradients of the loss, so it needs labels. Give labels, set "
            'curvature = "logits", or take a method that needs none: chita_bso, chita_pp, magnitude, reconstruct.'
        )
    if labels is None or curvature_kind(config) == "logits":
        # Far from the seeds of the views, so that directions and views are independent.
        loss, labels = LogitCurvature(seed + 500_000, objective.scales), torch.arange(len(images))
    return per_sample_gradients(
        model,
        images,
        labels,
        names,
        batch_size=config.gradient_batch,
        samples_per_row=config.samples_per_row * count,
        memory_budget_bytes=config.memory_budget_bytes,
        scratch_dir=config.scratch_dir,
        storage=_STORAGE[config.gradient_storage],
        keep_in=keep_in,
        progress=progress,
        loss=loss,
    )


def mean_curvature(layers: Sequence[Layer]) -> float:
    """Mean diagonal of the empirical Fisher n⁻¹AᵀA: the scale of the curvature, and the unit of the ridge."""
    squares = sum(float(squared_norms(layer.gradients).sum(dtype=torch.float64)) for layer in layers)
    return squares / max(1, sum(layer.gradients.shape.numel() for layer in layers))
