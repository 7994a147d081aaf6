"""Kind of one output tensor of a network: classes, answers of yes or no, or values, and their distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

from chita_edge.network.inputs import input_tensors
from chita_edge.network.tempered import tempered_kl

if TYPE_CHECKING:
    from chita_edge.network.inputs import Batch

Kind = Literal["classes", "binary", "values"]

_LEAST = 1e-6  # probability, so that logarithms are finite
_POSITIONS = 256  # of a sample's map that a choice between networks looks at
_MATRIX = 2
_EVEN = 0.93


@dataclass(frozen=True)
class OutputKind:
    """What the numbers of one output mean.

    Attributes:
        kind: "classes": logits along `axis`; "binary": one logit an answer, of the class 1 against the class 0;
            "values": anything else.
        axis: of the classes.
        scale: mean square of the dense network's deviations from its mean.
        probabilities: classes and binary answers are probabilities, behind a softmax or sigmoid of the network's own,
            instead of logits.
    """

    kind: Kind = "classes"
    axis: int = 1
    scale: float = 1.0
    probabilities: bool = False

    @property
    def is_vector_of_classes(self) -> bool:
        """Whether it may be one vector of classes a sample."""
        return self.kind == "classes" and self.axis == 1

    def logits(self, output: torch.Tensor) -> torch.Tensor:
        """Logits of the same probabilities."""
        if not self.probabilities:
            return output
        return torch.logit(output, _LEAST) if self.kind == "binary" else output.clamp_min(_LEAST).log()

    def distance(self, given: torch.Tensor, wanted: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Distance of a batch of outputs from the dense network's, see `Objective.distance`."""
        if self.kind == "values":
            return (given - wanted).square().mean() / self.scale
        pair, axis = (self.logits(given), self.logits(wanted)), self.axis
        if self.kind == "binary":
            pair, axis = (_two_classes(pair[0]), _two_classes(pair[1])), 1
        found, known = (functional.log_softmax(z / temperature, dim=axis) for z in pair)
        total = functional.kl_div(found, known, reduction="sum", log_target=True)
        return total / (known.numel() // known.shape[axis])

    def rows(self, output: torch.Tensor) -> torch.Tensor:
        """Logits of some of a batch's answers, (answers, classes): all of a vector, 256 positions of a map."""
        z = self.logits(output).cpu()
        z = _two_classes(z).movedim(1, -1) if self.kind == "binary" else z.movedim(self.axis, -1)
        z = z.reshape(len(z), -1, z.shape[-1])
        return z[:, :: -(-z.shape[1] // _POSITIONS)].flatten(0, 1)

    def judged(self, rows: torch.Tensor, known: torch.Tensor) -> float:
        """Distance for a choice between networks, from rows of both: KL at the first one's best temperature."""
        return tempered_kl(rows, known)

    def top(self, output: torch.Tensor) -> torch.Tensor:
        """The answer for each position: the likeliest class, or whether the class 1 is likelier than 0."""
        if self.kind == "binary":
            return self.logits(output) > 0
        return output.argmax(self.axis)

    def __str__(self) -> str:
        if self.kind == "values":
            return "relative squared error"
        of = "probabilities" if self.probabilities else "logits"
        if self.kind == "binary":
            return f"Bernoulli KL of {of}"
        return f"KL of {of} along dimension {self.axis}"


def find_output_kind(
    output: torch.Tensor, inputs: Batch, labels: torch.Tensor | None, alone: bool, squashed: bool
) -> OutputKind:
    """The kind of a dense network's output on some samples.

    Labels tell most: floating ones that the output holds values, whole ones along which dimension its classes lie.
    Without labels an output whose numbers are probabilities along a dimension is of classes, one number a sample, or
    one map, out of a sigmoid is an answer of yes or no. Of several outputs all others are values. A single output of
    several numbers is of classes, unless none of its numbers is negative, it has the same class for all samples, or its
    softmax is nearly even, which that of a trained classifier is not: then it holds values, such as corners of boxes.

    Args:
        output: the tensor, samples first.
        inputs: what the network was given, whose positions an output of classes a position has too.
        labels: of the samples.
        alone: whether the network has no other output.
        squashed: whether a sigmoid computed it.
    """
    scale = spread(output)
    answers = 1 if output.ndim == 1 else output.shape[1]
    if labels is not None and alone:
        if labels.is_floating_point():
            return OutputKind("values", scale=scale)
        if labels.ndim > 1 and labels.shape[1:] == output.shape[1:-1] != output.shape[2:]:
            axis = output.ndim - 1
            return OutputKind("classes", axis, scale, _sums_to_one(output, axis))
        if answers > 1:
            return OutputKind("classes", 1, scale, _sums_to_one(output, 1))
        return OutputKind("binary", scale=scale, probabilities=_within_one(output))
    for axis in dict.fromkeys((_class_axis(output, inputs), 1, output.ndim - 1)):
        if 0 < axis < output.ndim and output.shape[axis] > 1 and _sums_to_one(output, axis):
            return OutputKind("classes", axis, scale, probabilities=True)
    if answers == 1 and squashed:
        return OutputKind("binary", scale=scale, probabilities=True)
    axis = _class_axis(output, inputs)
    if not alone or output.ndim < _MATRIX or output.shape[axis] == 1:
        return OutputKind("values", scale=scale)
    winners = output.argmax(axis)
    if bool((output >= 0).all()) or bool((winners == winners.flatten()[0]).all()) or _is_even(output, axis):
        return OutputKind("values", scale=scale)
    return OutputKind("classes", axis, scale)


def spread(output: torch.Tensor) -> float:
    """Mean square of the deviations from the mean; of a constant, of the numbers themselves; never 0."""
    values = output.detach().cpu().double()
    return float(values.var(correction=0)) or float(values.square().mean()) or 1.0


def _class_axis(output: torch.Tensor, inputs: Batch) -> int:
    """The last dimension where the others are the positions of an input, such as tokens; else the second."""
    if output.ndim <= _MATRIX:
        return 1
    for given in input_tensors(inputs):
        positions = given.shape[1:] if not given.is_floating_point() else given.shape[1:-1]
        if positions and output.shape[1:-1] == positions and output.shape[2:] != given.shape[2:]:
            return output.ndim - 1
    return 1


def _is_even(output: torch.Tensor, axis: int) -> bool:
    """Whether the mean entropy of the softmax is nearly that of equal classes."""
    log_p = output.log_softmax(axis)
    entropy = -(log_p.exp() * log_p).sum(axis).mean()
    return float(entropy) > _EVEN * math.log(output.shape[axis])


def _within_one(output: torch.Tensor) -> bool:
    return bool(((output >= 0) & (output <= 1)).all())


def _sums_to_one(output: torch.Tensor, axis: int) -> bool:
    total = output.sum(axis)
    return bool((output >= 0).all()) and bool(torch.allclose(total, torch.ones_like(total), atol=1e-3))


def _two_classes(logit: torch.Tensor) -> torch.Tensor:
    """Logits of the classes 0 and 1, along the second dimension."""
    return torch.stack((torch.zeros_like(logit), logit), 1)
