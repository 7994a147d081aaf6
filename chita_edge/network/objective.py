"""Objective of a network: the loss of each sample, and the distance between two networks' outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn import functional

from chita_edge.network.batch import output_tensors, run_batch
from chita_edge.network.errors import CalibrationError

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.network.inputs import Batch

    Outputs = tuple[torch.Tensor, ...]

_LOOKED_AT = 100
_LEAST = 1e-6  # probability, so that logarithms are finite
_IGNORED = -100  # what torch's cross-entropy leaves out of dense labels


@dataclass(frozen=True)
class Objective:
    """The kind of a network's outputs; found once by `find_objective` and used for every comparison.

    Attributes:
        kind: "classes": logits along `axis`; "binary": one logit an answer, of the class 1 against the class 0;
            "values": one or several tensors of anything else.
        axis: of the classes.
        scales: mean square of the dense network's deviations from its mean, one an output tensor.
        probabilities: the outputs of classes and binary answers are probabilities, behind a softmax or sigmoid of the
            network's own, instead of logits.
    """

    kind: Literal["classes", "binary", "values"] = "classes"
    axis: int = 1
    scales: tuple[float, ...] = (1.0,)
    probabilities: bool = False

    def loss(self, outputs: Any, labels: torch.Tensor | None) -> torch.Tensor:
        """One value a sample, (n,): cross-entropy of classes, mean squared error of floating targets.

        Raises:
            CalibrationError: there are no labels, or they do not fit the outputs; the message says how.
        """
        if labels is None:
            raise CalibrationError("The gradients of the loss need labels, and there are none.")
        tensors = output_tensors(outputs, len(labels))
        if len(tensors) > 1:
            raise CalibrationError(
                f"The network answers with {len(tensors)} tensors, of which no loss is known. Take a method that "
                'needs no labels (chita_bso, chita_pp, reconstruct, magnitude), or set curvature = "logits".'
            )
        (output,) = tensors
        if labels.is_floating_point():
            return _squared_error(output, labels)
        if self.kind == "binary":
            return _binary_cross_entropy(self._logits(output), labels)
        logits = self._logits(output)
        return cross_entropy(logits if self.axis == 1 else logits.movedim(self.axis, 1), labels)

    def distance(self, outputs: Outputs, reference: Outputs, temperature: float = 1.0) -> torch.Tensor:
        """Mean distance over the samples of a batch, 0 where the outputs are equal; a scalar with a gradient.

        Of classes KL(reference ‖ outputs) in nats, averaged over the positions of a map, at a temperature by which both
        logits are divided; of one logit the same with Bernoulli distributions; of values the squared error in units of
        their variance, averaged over output tensors.

        Args:
            outputs: tensors of `output_tensors`.
            reference: the dense network's for the same samples.
            temperature: 1 for the distance itself.
        """
        pairs = list(zip(outputs, reference, strict=True))
        if self.kind == "values":
            parts = [
                (given - wanted).square().mean() / scale
                for (given, wanted), scale in zip(pairs, self.scales, strict=True)
            ]
            return torch.stack(parts).mean()
        ((given, wanted),) = pairs
        pair, axis = (self._logits(given), self._logits(wanted)), self.axis
        if self.kind == "binary":
            pair, axis = (_two_classes(pair[0]), _two_classes(pair[1])), 1
        found, known = (functional.log_softmax(z / temperature, dim=axis) for z in pair)
        total = functional.kl_div(found, known, reduction="sum", log_target=True)
        return total / (known.numel() // known.shape[axis])

    def _logits(self, output: torch.Tensor) -> torch.Tensor:
        """Logits of the same probabilities."""
        if not self.probabilities:
            return output
        return torch.logit(output, _LEAST) if self.kind == "binary" else output.clamp_min(_LEAST).log()

    def imitation(self, outputs: Outputs, reference: Outputs, temperature: float) -> torch.Tensor:
        """Loss of a network that learns the reference's outputs: T² times the distance at temperature T of classes.

        The factor T² keeps the gradient's size independent of T (Hinton et al. 2015, section 2).
        """
        if self.kind == "values":
            return self.distance(outputs, reference)
        return temperature**2 * self.distance(outputs, reference, temperature)


def find_objective(model: nn.Module, images: Batch, labels: torch.Tensor | None = None) -> Objective:
    """The objective of a trained network, from its outputs on some images and, where there are any, the labels.

    One tensor (n, classes, …) holds classes along its second dimension, or along its last one where whole-number labels
    (n, …) say so; one logit an answer with labels 0 and 1 is binary; with floating labels, with one number an answer
    and no labels, and with several tensors the outputs are values.

    Args:
        model: in evaluation mode.
        images: calibration images; the first 100 are looked at.
        labels: of the images.

    Raises:
        CalibrationError: the network fails on the images, or does not answer with floating tensors of the batch.
    """
    some = images[:_LOOKED_AT]
    with torch.no_grad():
        tensors = output_tensors(run_batch(model, some), len(some))
    scales = tuple(_scale(tensor) for tensor in tensors)
    if len(tensors) > 1 or (labels is not None and labels.is_floating_point()):
        return Objective("values", scales=scales)
    (output,) = tensors
    answers = 1 if output.ndim == 1 else output.shape[1]
    if labels is not None and labels.ndim > 1 and labels.shape[1:] == output.shape[1:-1] != output.shape[2:]:
        return Objective("classes", output.ndim - 1, scales, _sums_to_one(output, output.ndim - 1))
    if answers > 1:
        return Objective("classes", 1, scales, _sums_to_one(output, 1))
    if labels is None:
        return Objective("values", scales=scales)
    return Objective("binary", scales=scales, probabilities=bool(((output >= 0) & (output <= 1)).all()))


def cross_entropy(logits: Any, labels: torch.Tensor) -> torch.Tensor:
    """One value a sample: −log softmax(logits)[label], averaged over the positions of a map.

    Args:
        logits: (n, classes) or (n, classes, …).
        labels: int64 (n,) or (n, …); −100 in a map stands for no label.

    Raises:
        CalibrationError: they do not fit each other.
    """
    (output,) = output_tensors(logits, len(labels))
    if output.ndim == 1 or labels.shape != (len(output), *output.shape[2:]):
        raise CalibrationError(
            f"The network answers with shape {tuple(output.shape)}, for which labels are of shape "
            f"{(len(output), *output.shape[2:])}, not {tuple(labels.shape)}. Give such labels, or take a method that "
            "needs none (chita_bso, chita_pp, reconstruct, magnitude)."
        )
    counted = labels != _IGNORED if labels.ndim > 1 else torch.ones_like(labels, dtype=torch.bool)
    _check_range(labels[counted], output.shape[1])
    values = functional.cross_entropy(output, labels, reduction="none", ignore_index=_IGNORED)
    return values if values.ndim == 1 else values.flatten(1).sum(1) / counted.flatten(1).sum(1).clamp_min(1)


def _binary_cross_entropy(output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    if labels.numel() != output.numel():
        raise CalibrationError(
            f"The network answers with shape {tuple(output.shape)} and the labels are of shape {tuple(labels.shape)}: "
            "one answer needs one label."
        )
    _check_range(labels, 2)
    targets = labels.reshape(output.shape).to(output.dtype)
    return (
        functional.binary_cross_entropy_with_logits(output, targets, reduction="none").reshape(len(output), -1).mean(1)
    )


def _squared_error(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if targets.numel() != output.numel():
        raise CalibrationError(
            f"The network answers with shape {tuple(output.shape)} and the floating targets are of shape "
            f"{tuple(targets.shape)}; they have to be as many."
        )
    return (output - targets.reshape(output.shape)).square().reshape(len(output), -1).mean(1)


def _check_range(labels: torch.Tensor, classes: int) -> None:
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise CalibrationError(
            f"A calibration label is {int(wrong)}; this network's classes are 0 to {classes - 1}. Number the "
            "classes from 0."
        )


def _sums_to_one(output: torch.Tensor, axis: int) -> bool:
    total = output.sum(axis)
    return bool((output >= 0).all()) and bool(torch.allclose(total, torch.ones_like(total), atol=1e-3))


def _scale(output: torch.Tensor) -> float:
    """Mean square of the deviations from the mean; of a constant, of the numbers themselves; never 0."""
    values = output.detach().double()
    return float(values.var(correction=0)) or float(values.square().mean()) or 1.0


def _two_classes(logit: torch.Tensor) -> torch.Tensor:
    """Logits of the classes 0 and 1, along the second dimension."""
    return torch.stack((torch.zeros_like(logit), logit), 1)
