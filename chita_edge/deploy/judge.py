"""Judging of networks and model files on samples that nothing was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from chita_edge.datasets import LabelledImages
from chita_edge.deploy.feeds import outputs_of
from chita_edge.deploy.metric import Better, Metric, Outputs, Score, find_metric
from chita_edge.network.batch import output_tensors, run_batch
from chita_edge.network.inputs import beside
from chita_edge.network.objective import Objective, find_objective
from chita_edge.progress import Progress, silent
from chita_edge.quantization import QuantisedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnxruntime
    from torch import nn

    from chita_edge.network.inputs import Batch

_BATCH = 100


@dataclass(frozen=True)
class Judge:
    """Samples and the metric that networks are judged by on them.

    Attributes:
        samples: with labels where the metric compares with them.
        metric: which.
        objective: of the dense network, which says what its outputs are.
        seen: whether these are calibration samples.
        dense: the dense network's outputs for each batch, where the metric compares with them.
    """

    samples: LabelledImages
    metric: Metric
    objective: Objective
    seen: bool = False
    dense: tuple[Outputs, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        samples: LabelledImages,
        *,
        objective: Objective | None = None,
        metric: str | None = None,
        better: Better = "higher",
        seen: bool = False,
        kinds: Any = None,
    ) -> Judge:
        """The judge of one network's files; `find_metric` says what it goes by.

        Args:
            model: the dense network, in evaluation mode.
            samples: to judge on.
            objective: of the network; found on the samples when None.
            metric: a function of the user's own.
            better: which of its figures are.
            seen: whether the network is calibrated on these samples.
            kinds: of the outputs, where the user knows better, see `find_objective`.
        """
        objective = objective or find_objective(model, beside(model, samples.images), samples.labels, kinds=kinds)
        found = find_metric(objective, samples.labels, metric, better)
        dense: tuple[Outputs, ...] = ()
        if found.needs_dense:
            with torch.no_grad():
                batches = samples.images.split(_BATCH)
                dense = tuple(output_tensors(run_batch(model, beside(model, batch)), len(batch)) for batch in batches)
        return cls(samples, found, objective, seen, dense)

    @property
    def on(self) -> str:
        """What is judged on, in words."""
        count = len(self.samples)
        return f"{count:,} calibration samples, which it was fitted on" if self.seen else f"{count:,} test samples"

    def network(self, model: nn.Module | QuantisedNetwork, phase: str = "judge", progress: Progress = silent) -> float:
        """Figure of a torch network, in evaluation mode, or of one of integers."""
        with torch.no_grad():
            if isinstance(model, QuantisedNetwork):
                integers = model
                return self._figure(lambda batch: integers(batch), phase, progress)
            return self._figure(lambda batch: run_batch(model, beside(model, batch)), phase, progress)

    def file(self, session: onnxruntime.InferenceSession, phase: str = "judge", progress: Progress = silent) -> float:
        """Figure of a model file, in the runtime that will run it."""

        def run(batch: Batch) -> list[torch.Tensor]:
            return [torch.as_tensor(output) for output in outputs_of(session, batch)]

        return self._figure(run, phase, progress)

    def _figure(self, run: Callable[[Batch], Any], phase: str, progress: Progress) -> float:
        score, total, done = Score(self.metric, self.objective), len(self.samples), 0
        progress(phase, 0, total)
        for number, start in enumerate(range(0, total, _BATCH)):
            batch = self.samples[start : start + _BATCH]
            outputs = tuple(tensor.cpu() for tensor in output_tensors(run(batch.images), len(batch)))
            score.add(outputs, batch.labels, self.dense[number] if self.dense else None)
            done += len(batch)
            progress(phase, done, total)
        return score.figure()
