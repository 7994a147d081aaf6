"""Curvature of a network's answers by its weights and by its layers' outputs, from unlabelled images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from chita_edge.quantization.moments import position_count, position_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.graph import Graph

_BATCH = 25
_MATRIX = 2


@dataclass(frozen=True)
class Curvature:
    """Fisher information of one layer.

    Attributes:
        weights: E (∂ℓ/∂w)², float32 (out, K).
        outputs: E Σ_positions (∂ℓ/∂y)² of each output channel, float32 (out,).
    """

    weights: torch.Tensor
    outputs: torch.Tensor

    @property
    def mean(self) -> float:
        """Over the weights."""
        return float(self.weights.mean())


def fisher(graph: Graph, images: Batch, names: Sequence[str], *, seed: int = 0) -> dict[str, Curvature]:
    """The Fisher information's diagonal by the weights of some layers without groups.

    Of logits (n, classes): ℓ = −log p(label) with labels drawn from the network's own answers, which makes the Hessian
    of KL to those answers. Of other outputs: ℓ a random projection, which makes that of the squared error.

    Args:
        graph: the network.
        images: some calibration images.
        names: of the layers.
        seed: of labels and projections.
    """
    rng = torch.Generator().manual_seed(seed)
    squares = {name: torch.zeros_like(graph.layers[name].weight.flatten(1)) for name in names}
    outputs = {name: torch.zeros(len(square)) for name, square in squares.items()}
    for batch in images.split(_BATCH):
        inputs, sums, answers = _forward(graph, batch, names)
        gradients = torch.autograd.grad(_loss(answers, rng), [sums[name] for name in names])
        for name, gradient in zip(names, gradients, strict=True):
            layer, x = graph.layers[name], inputs[name].detach()
            columns = position_rows(layer, x, torch.arange(position_count(layer, x))).view(
                len(x), -1, squares[name].shape[1]
            )
            g = gradient.flatten(2) if layer.is_convolution else gradient.reshape(len(x), -1, len(squares[name])).mT
            squares[name] += torch.bmm(g, columns).square_().sum(0)
            outputs[name] += g.square().sum((0, 2))
    count = len(images)
    return {name: Curvature(squares[name] / count, outputs[name] / count) for name in names}


def _forward(
    graph: Graph, images: Batch, names: Sequence[str]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]:
    """Inputs of some layers, their outputs before the activation, and the network's output."""
    inputs: dict[str, torch.Tensor] = {}
    sums: dict[str, torch.Tensor] = {}
    values: dict[str, torch.Tensor] = {}
    for step in graph.steps:
        read = tuple(values[name] for name in step.inputs) or (_watched(step.taken(images)),)
        if step.name in names:
            inputs[step.name] = read[0]
            sums[step.name] = step.weights(read[0])
            values[step.name] = step.clip(sums[step.name])
        else:
            values[step.name] = step(*read)
    return inputs, sums, values[graph.output]


def _watched(values: torch.Tensor) -> torch.Tensor:
    return values.detach().requires_grad_() if values.is_floating_point() else values


def _loss(answers: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    if answers.dim() == _MATRIX and answers.shape[1] > 1:
        labels = torch.multinomial(answers.detach().softmax(1), 1, generator=rng)[:, 0]
        return functional.cross_entropy(answers, labels, reduction="sum")
    return (answers * torch.randn(answers.shape, generator=rng)).sum()
