"""Metric of a network on labelled samples, or its closeness to the dense network where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from chita_edge.errors import UsageError
from chita_edge.network.objective import Objective
from chita_edge.user_code import named_object, names_code, telling

Better = Literal["higher", "lower"]
Outputs = tuple[torch.Tensor, ...]
Own = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Metric:
    """What networks are judged by.

    Attributes:
        name: "accuracy", "mean squared error" or a function's; "agreement" with the dense network's top class, or
            "relative error" of its outputs, where no labels tell more.
        better: which figures are.
        share: whether it is a share, to be printed in per cent.
        own: the user's function of (outputs, labels).
    """

    name: str
    better: Better = "higher"
    share: bool = False
    own: Own | None = None

    @property
    def needs_dense(self) -> bool:
        """Whether outputs are compared with the dense network's."""
        return self in (AGREEMENT, RELATIVE_ERROR)

    @property
    def title(self) -> str:
        """The name at the beginning of a sentence."""
        return self.name[:1].upper() + self.name[1:]

    def value(self, figure: float) -> str:
        """A figure as it is printed."""
        return f"{figure:.2%}" if self.share else f"{figure:.4g}"

    def change(self, dense: float, other: float) -> str:
        """How another figure differs from the dense network's."""
        return f"{(other - dense) * 100:+.2f} points" if self.share else f"{other - dense:+.3g}"


ACCURACY = Metric("accuracy", share=True)
SQUARED_ERROR = Metric("mean squared error", "lower")
AGREEMENT = Metric("agreement", share=True)
RELATIVE_ERROR = Metric("relative error", "lower", share=True)


def find_metric(objective: Objective, labels: Any, name: str | None = None, better: Better = "higher") -> Metric:
    """The metric that a user names, or what the outputs and labels allow.

    Args:
        objective: of the network.
        labels: of the samples to judge on.
        name: ``package.module:function`` or ``file.py:function``; None for the metric that follows from the labels.
        better: of the named one's figures.

    Raises:
        UsageError: there is no such function, or it needs labels and there are none.
    """
    if name is not None:
        if not names_code(name):
            raise UsageError(f"A metric is a function of your own, package.module:function; {name!r} is none.")
        function = named_object(name, "a function of outputs and labels")
        if not callable(function):
            raise UsageError(f"{name!r} is of type {type(function).__name__}; a metric is a function.")
        if labels is None:
            raise UsageError(f"The metric {name} compares outputs with labels, and the samples to judge on have none.")
        return Metric(name.rpartition(":")[2], better, own=function)
    kinds = {kind.kind for kind in objective.outputs}
    if isinstance(labels, torch.Tensor) and len(objective.outputs) == 1:
        if labels.is_floating_point():
            return SQUARED_ERROR
        if kinds <= {"classes", "binary"}:
            return ACCURACY
    return AGREEMENT if kinds & {"classes", "binary"} else RELATIVE_ERROR


class Score:
    """The figure of a network, from its outputs batch by batch.

    Args:
        metric: which.
        objective: of the network.
    """

    def __init__(self, metric: Metric, objective: Objective) -> None:
        self._metric, self._kinds = metric, objective.outputs
        self._total, self._count = 0.0, 0
        self._outputs: list[Outputs] = []
        self._labels: list[Any] = []

    def add(self, outputs: Outputs, labels: Any, dense: Outputs | None) -> None:
        """One batch: floating outputs in their order, its labels, and the dense network's outputs where they count."""
        if self._metric.own is not None:
            self._outputs.append(outputs)
            self._labels.append(labels)
            return
        samples = len(outputs[0])
        total, count = self._batch(outputs, labels, dense)
        # Positions of a map count as one sample together.
        self._total += total / max(1, count) * samples
        self._count += samples

    def _batch(self, outputs: Outputs, labels: Any, dense: Outputs | None) -> tuple[float, int]:
        if self._metric == SQUARED_ERROR:
            return float((outputs[0] - labels.reshape(outputs[0].shape)).square().sum()), outputs[0].numel()
        if self._metric == ACCURACY:
            right = self._kinds[0].top(outputs[0]).reshape(labels.shape) == labels
            counted = labels >= 0 if labels.ndim > 1 else torch.ones_like(labels, dtype=torch.bool)
            return float((right & counted).sum()), int(counted.sum())
        assert dense is not None  # noqa: S101 (the judge keeps them)
        triples = list(zip(self._kinds, outputs, dense, strict=True))
        if self._metric == AGREEMENT:
            same = [kind.top(one) == kind.top(other) for kind, one, other in triples if kind.kind != "values"]
            return sum(float(one.float().mean()) for one in same) / len(same), 1
        errors = [float((one - other).square().mean()) / kind.scale for kind, one, other in triples]
        return sum(errors) / len(errors), 1

    def figure(self) -> float:
        """The metric over all batches.

        Raises:
            UsageError: the user's function fails, or gives no number.
        """
        own = self._metric.own
        if own is None:
            mean = self._total / max(1, self._count)
            return mean**0.5 if self._metric == RELATIVE_ERROR else mean
        outputs = tuple(torch.cat(parts) for parts in zip(*self._outputs, strict=True))
        with telling(f"The metric {self._metric.name}"):
            found = own(outputs[0] if len(outputs) == 1 else outputs, _cat(self._labels))
        try:
            return float(found)
        except (TypeError, ValueError, RuntimeError):
            raise UsageError(
                f"The metric {self._metric.name} gives {type(found).__name__}; it has to give a number."
            ) from None


def _cat(labels: list[Any]) -> Any:
    """Labels of all batches: a tensor, a dict by name, or a tuple."""
    if isinstance(labels[0], torch.Tensor):
        return torch.cat(labels)
    whole = tuple(torch.cat(parts) for parts in zip(*(each.tensors for each in labels), strict=True))
    names = labels[0].names
    return whole if names is None else dict(zip(names, whole, strict=True))
