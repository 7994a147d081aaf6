"""Objective of a network: the loss of each sample, and the distance between two networks' outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from chita_edge.network.batch import output_tensors
from chita_edge.network.errors import CalibrationError
from chita_edge.network.losses import binary_cross_entropy, cross_entropy, squared_error
from chita_edge.network.output_kind import Kind, OutputKind, find_output_kind, spread
from chita_edge.network.squashed import run_watched

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.network.inputs import Batch

    Outputs = tuple[torch.Tensor, ...]

__all__ = ["LOSSES", "Objective", "OutputKind", "cross_entropy", "find_objective"]

LOSSES: dict[str, Kind] = {"cross_entropy": "classes", "bce": "binary", "mse": "values"}
"""Losses by name, and the kind of output that each is of."""
_LOOKED_AT = 100


@dataclass(frozen=True)
class Objective:
    """What is to stay the same when a network is pruned; found once by `find_objective`, used for every comparison.

    Attributes:
        outputs: the kind of each output tensor.
        own_loss: a user's, of (outputs as the network gives them, labels), one value a sample; None for the loss of the
            only output's kind.
    """

    outputs: tuple[OutputKind, ...] = (OutputKind(),)
    own_loss: Callable[[Any, Any], torch.Tensor] | None = None

    @property
    def scales(self) -> tuple[float, ...]:
        """Mean square of the dense network's deviations from its mean, one an output tensor."""
        return tuple(output.scale for output in self.outputs)

    def loss(self, outputs: Any, labels: Any) -> torch.Tensor:
        """One value a sample, (n,): the user's, or cross-entropy of classes, mean squared error of floating targets.

        Raises:
            CalibrationError: there are no labels, or they do not fit the outputs; the message says how.
        """
        if labels is None:
            raise CalibrationError("The gradients of the loss need labels, and there are none.")
        if self.own_loss is not None:
            return _one_a_sample(self.own_loss(outputs, labels), len(labels))
        tensors = output_tensors(outputs, len(labels))
        if len(tensors) > 1:
            raise CalibrationError(
                f"The network answers with {len(tensors)} tensors, of which no loss is known. Give a loss of your own, "
                "or none: the default needs no loss and no labels."
            )
        (output,), kind = tensors, self.outputs[0]
        if kind.kind == "values" or labels.is_floating_point():
            if kind.kind == "binary":
                return binary_cross_entropy(kind.logits(output), labels)
            return squared_error(output, labels)
        logits = kind.logits(output)
        if kind.kind == "binary":
            return binary_cross_entropy(logits, labels)
        return cross_entropy(logits if kind.axis == 1 else logits.movedim(kind.axis, 1), labels)

    def distance(self, outputs: Outputs, reference: Outputs, temperature: float = 1.0) -> torch.Tensor:
        """Mean distance over the samples of a batch, 0 where the outputs are equal; a scalar with a gradient.

        Of classes KL(reference ‖ outputs) in nats, averaged over the positions of a map, at a temperature by which both
        logits are divided; of one logit the same with Bernoulli distributions; of values the squared error in units of
        their variance; averaged over output tensors.

        Args:
            outputs: tensors of `output_tensors`.
            reference: the dense network's for the same samples.
            temperature: 1 for the distance itself.
        """
        return self._mean(lambda kind, *pair: kind.distance(*pair, temperature), outputs, reference)

    def imitation(self, outputs: Outputs, reference: Outputs, temperature: float) -> torch.Tensor:
        """Loss of a network that learns the reference's outputs: T² times the distance at temperature T of classes.

        The factor T² keeps the gradient's size independent of T (Hinton et al. 2015, section 2).
        """

        def one(kind: OutputKind, given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            factor = 1.0 if kind.kind == "values" else temperature**2
            return factor * kind.distance(given, wanted, temperature)

        return self._mean(one, outputs, reference)

    def _mean(
        self,
        part: Callable[[OutputKind, torch.Tensor, torch.Tensor], torch.Tensor],
        outputs: Outputs,
        reference: Outputs,
    ) -> torch.Tensor:
        triples = zip(self.outputs, outputs, reference, strict=True)
        return torch.stack([part(*triple) for triple in triples]).mean()

    def __str__(self) -> str:
        told = list(dict.fromkeys(map(str, self.outputs)))
        return " and ".join(told) + (f", averaged over {len(self.outputs)} outputs" if len(self.outputs) > 1 else "")


def find_objective(
    model: nn.Module,
    images: Batch,
    labels: torch.Tensor | None = None,
    *,
    kinds: Kind | tuple[Kind, ...] | None = None,
    own_loss: Callable[[Any, Any], torch.Tensor] | None = None,
) -> Objective:
    """The objective of a trained network, from its outputs on some samples and, where there are any, the labels.

    `find_output_kind` has the rules.

    Args:
        model: in evaluation mode.
        images: calibration samples; the first 100 are looked at.
        labels: of the samples; of no use with a loss of the user's own.
        kinds: of the outputs, one or one each, where the user knows better.
        own_loss: the user's loss.

    Raises:
        CalibrationError: the network fails on the samples, or does not answer with floating tensors of the batch, or
            with as many as there are kinds.
    """
    some = images[:_LOOKED_AT]
    outputs, sigmoids = run_watched(model, some)
    tensors = output_tensors(outputs, len(some))
    known = labels if own_loss is None else None
    found = [find_output_kind(tensor, some, known, len(tensors) == 1, sigmoids.made(tensor)) for tensor in tensors]
    if kinds is not None:
        given = (kinds,) * len(found) if isinstance(kinds, str) else kinds
        if len(given) != len(found):
            raise CalibrationError(
                f"The network has {len(found)} outputs, {len(given)} distances are given; give one, or one each."
            )
        found = [_of_kind(*triple) for triple in zip(given, found, tensors, strict=True)]
    return Objective(tuple(found), own_loss)


def _of_kind(kind: Kind, found: OutputKind, output: torch.Tensor) -> OutputKind:
    """The kind that a user has named, with what is found beside it."""
    if kind == found.kind:
        return found
    within_one = kind == "binary" and bool(((output >= 0) & (output <= 1)).all())
    return replace(OutputKind(kind, found.axis, spread(output)), probabilities=within_one)


def _one_a_sample(values: Any, samples: int) -> torch.Tensor:
    if not isinstance(values, torch.Tensor) or values.shape not in {(samples,), ()}:
        told = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise CalibrationError(
            f"The loss gives {told} for {samples} samples. Let it give one value a sample, or their mean."
        )
    return values if values.ndim else values * samples  # a mean; its gradients by each sample's outputs are 1/n of its
