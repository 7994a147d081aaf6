"""Masked fine-tuning: a pruned network learns the dense network's answers, and its zeros stay."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from chita_edge.errors import ChitaEdgeError
from chita_edge.network.batch import copy_network, output_tensors, run_batch
from chita_edge.network.errors import CalibrationError
from chita_edge.network.in_place import InPlaceGuard
from chita_edge.network.inputs import Batch, input_tensors
from chita_edge.network.objective import Objective, find_objective
from chita_edge.progress import Progress, silent
from chita_edge.storage.checkpoint import Checkpoint
from chita_edge.storage.fingerprint import Fingerprint, fingerprint
from chita_edge.tuning.recipe import Recipe
from chita_edge.tuning.training_augmentation import infer_training_augmentation
from chita_edge.tuning.views import IMAGE_DIMENSIONS, Augmentation, darkest


class DivergedError(ChitaEdgeError):
    """Training diverged: a loss or weight is NaN or infinite."""


@dataclass(frozen=True)
class Distilled:
    """Result of `distill`: the tuned copy in evaluation mode, its epochs, the mean loss of the last one."""

    model: nn.Module
    epochs: int
    loss: float


def distill(
    student: nn.Module,
    teacher: nn.Module,
    images: Batch,
    masks: Mapping[str, torch.Tensor],
    recipe: Recipe,
    *,
    objective: Objective | None = None,
    checkpoint: Path | None = None,
    known_by: Fingerprint | None = None,
    progress: Progress = silent,
) -> Distilled:
    """Train a copy of the pruned `student` to predict what the dense `teacher` predicts; needs no labels.

    The loss is `Objective.imitation`, of classes T² · KL(teacher ‖ student) at temperature T (Hinton et al. 2015).
    Batch-norm statistics are frozen: those of a thousand images are worse than those of the training set, while scale
    and shift are trained as all other parameters are.

    Args:
        student: pruned network; not changed.
        teacher: the network it came from; not changed.
        images: float32 (n, channels, height, width), or inputs of another shape, which are not augmented.
        masks: by weight name, True where a weight may be other than 0; the others are exactly 0 after every step.
        recipe: how.
        objective: of the teacher; found from its outputs when None.
        checkpoint: file that holds the state after the last finished epoch. If it is there the training goes on from
            it, and ends, without a time limit, in bit-identical weights.
        known_by: what the networks, images and masks are known by; found from them when None.
        progress: called with stage "distill".

    Raises:
        StateError: the checkpoint is damaged or another run's.
        ScratchSpaceError: the checkpoint cannot be written.
        DivergedError: the loss is not finite any more.
    """
    run = _Run(student, teacher, images, masks, recipe, objective)
    file = None if checkpoint is None else Checkpoint(checkpoint, run.fingerprint(known_by))
    if file is not None and (found := file.read()) is not None:
        run.restore(*found)
    run.report(progress)
    while not run.over:
        run.epoch(progress)
        if file is not None:
            file.write(*run.state())
    return run.result()


class _Run:
    """A training run between two epochs."""

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        images: Batch,
        masks: Mapping[str, torch.Tensor],
        recipe: Recipe,
        objective: Objective | None,
    ) -> None:
        self.given, self.images, self.recipe = student, images, recipe
        # Channels last is the layout in which oneDNN convolves fastest; it changes strides, not values.
        self.student, self.teacher = (
            copy_network(network).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
            for network in (student, teacher)
        )
        for network, trains in ((self.student, True), (self.teacher, False)):
            network.requires_grad_(trains)
        self.objective = objective or find_objective(self.teacher, images)
        self.guard = InPlaceGuard()
        self.parameters: dict[str, nn.Parameter] = dict(self.student.named_parameters())
        self.device = next((tensor.device for tensor in self.parameters.values()), torch.device("cpu"))
        self.masks = {name: mask.to(self.parameters[name]) for name, mask in masks.items()}
        rate = recipe.rate(0)
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.SGD(self.parameters.values(), lr=rate, momentum=0.9, nesterov=True)
            if recipe.optimiser == "sgd"
            else torch.optim.Adam(self.parameters.values(), lr=rate)
        )
        self.bfloat16 = recipe.precision == "bfloat16" or (
            recipe.precision == "auto" and self.device.type == "cpu" and computes_bfloat16()
        )
        dark = recipe.dark
        if dark is None:
            known = infer_training_augmentation(self.teacher, images, objective=self.objective, seed=recipe.seed)
            dark = known.dark
        self.augmentation = Augmentation(recipe.max_shift, dark)
        self.darkest = darkest(images) if dark else None
        self.steps = -(-len(images) // recipe.batch_size)
        self.epochs, self.seconds, self.loss = 0, 0.0, 0.0

    @property
    def over(self) -> bool:
        return self.done(0) >= 1

    def done(self, step: int) -> float:
        """Share of the training that is over before a step of the current epoch: of the steps or of the time."""
        of_steps = (self.epochs + step / self.steps) / self.recipe.epochs if self.recipe.epochs else 1.0
        return of_steps if self.recipe.seconds is None else max(of_steps, self.seconds / self.recipe.seconds)

    def epoch(self, progress: Progress) -> None:
        """Pass over the images once, or until the time is up."""
        started, before = time.perf_counter(), self.seconds
        total, step = 0.0, 0
        for step, batch in enumerate(self._batches(), start=1):
            for group in self.optimiser.param_groups:
                group["lr"] = self.recipe.rate(self.done(step - 1))
            total += self._step(batch)
            self.seconds = before + time.perf_counter() - started
            self.report(progress, step)
            if self.done(step) >= 1:
                break
        self.loss = total / step
        self.epochs += 1
        if not torch.tensor(self.loss).isfinite():
            raise DivergedError(
                f"The loss of the distillation is not finite in epoch {self.epochs}; a smaller learning rate helps."
            )

    def report(self, progress: Progress, step: int = 0) -> None:
        """Tell how far the run is, in steps; of a run with a time limit, in the share of the time."""
        total = self.recipe.epochs * self.steps
        progress("distill", min(total, round(self.done(step) * total)), total)

    def _batches(self) -> Iterator[Batch]:
        # Every epoch has a generator of its own, so that a resumed run draws what an uninterrupted one would.
        rng = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.epochs)
        order = torch.randperm(len(self.images), generator=rng)
        for start in range(0, len(order), self.recipe.batch_size):
            chosen = order[start : start + self.recipe.batch_size]
            views = self.augmentation.views(self.images[chosen], rng, self.darkest)
            if isinstance(views, torch.Tensor) and views.ndim == IMAGE_DIMENSIONS:
                views = views.contiguous(memory_format=torch.channels_last)
            yield views

    def _step(self, batch: Batch) -> float:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16), torch.no_grad():
            wanted = _answers(self.teacher, batch)

        def differentiate() -> torch.Tensor:
            self.optimiser.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                loss = self.objective.imitation(_answers(self.student, batch), wanted, self.recipe.temperature)
            if not loss.requires_grad:
                raise CalibrationError(
                    f"The outputs of {type(self.given).__name__} have no gradient (no_grad, inference_mode or detach "
                    "in its forward), so it cannot be distilled."
                )
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        loss = self.guard.run(differentiate)
        for name, mask in self.masks.items():
            gradient = self.parameters[name].grad
            if gradient is not None:
                gradient.mul_(mask)
        self.optimiser.step()
        with torch.no_grad():
            for name, mask in self.masks.items():
                self.parameters[name].mul_(mask)
        return float(loss.detach())

    def fingerprint(self, inputs: Fingerprint | None) -> str:
        """SHA-256 of all that the result depends on."""
        if inputs is None:
            teacher = fingerprint(self.teacher, {}).digest
            images = input_tensors(self.images)
            inputs = fingerprint(self.given, {"teacher": teacher, "masks": self.masks, "images": images})
        return inputs.extended({"recipe": asdict(self.recipe), "bfloat16": self.bfloat16}).digest

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """State that the next epoch depends on."""
        tensors: dict[str, torch.Tensor] = {f"weights/{name}": value.cpu() for name, value in self.parameters.items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{slot}": value.cpu() for slot, value in slots.items() if value is not None}
        return tensors, {"epochs": self.epochs, "seconds": self.seconds, "loss": self.loss}

    def restore(self, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """The inverse of `state`."""
        saved = self.optimiser.state_dict()
        ordered = list(self.parameters.values())
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimiser":
                index, _, slot = rest.partition("/")
                parameter = ordered[int(index)].detach()
                # In the parameter's own strides: the order of a sum, and so its last bit, may follow them.
                in_place = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
                slots.setdefault(int(index), {})[slot] = in_place
        self.optimiser.load_state_dict({**saved, "state": slots})
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"weights/{name}"])
        self.epochs, self.seconds, self.loss = int(numbers["epochs"]), numbers["seconds"], numbers["loss"]

    def result(self) -> Distilled:
        """The student in the layout, and with the flags, of the network that was given."""
        model = copy_network(self.given).eval()
        model.load_state_dict(self.student.state_dict())
        return Distilled(model, self.epochs, self.loss)


def _answers(network: nn.Module, batch: Batch) -> tuple[torch.Tensor, ...]:
    """The network's outputs in float32."""
    return tuple(tensor.float() for tensor in output_tensors(run_batch(network, batch), len(batch)))


def computes_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16; without them it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
