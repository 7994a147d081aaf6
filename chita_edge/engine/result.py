"""Result of `chita_edge.prune`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chita_edge.network.selection import KeptDense

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

    from chita_edge.engine.config import PruneConfig
    from chita_edge.pruning import Solution


@dataclass(frozen=True)
class LayerFigures:
    """One pruned weight tensor."""

    name: str
    shape: tuple[int, ...]
    nnz: int
    sparsity: float


@dataclass(frozen=True)
class DistillationStep:
    """One fine-tuning of a pruned network, and whether its result was kept.

    Attributes:
        sparsity: of the pruned network.
        epochs: passes over the images.
        divergence_before: of the pruned network from the dense one on the calibration images.
        divergence_after: of the fine-tuned one.
        kept: True where `divergence_after` is the smaller one.
        reason: the decision as a sentence.

    """

    sparsity: float
    epochs: int
    divergence_before: float
    divergence_after: float
    kept: bool
    reason: str

    @classmethod
    def of(cls, sparsity: float, epochs: int, before: float, after: float) -> DistillationStep:
        """The step, judged: the network that is closer to the dense one is kept."""
        kept = after < before
        verdict = "was kept" if kept else "was not kept; a smaller learning rate or more calibration images may help"
        change = f"from {before:.4g} before it to {after:.4g} after it"
        reason = (
            f"Distillation of {epochs} epoch{'' if epochs == 1 else 's'} at a sparsity of {sparsity:.2%} {verdict}: "
            f"the divergence from the dense network went {change}."
        )
        return cls(sparsity, epochs, before, after, kept, reason)


@dataclass(frozen=True)
class PruneFigures:
    """Figures of one run of pruning.

    Attributes:
        method: name of the method.
        structure: name of the pattern.
        sparsity: share of zeros among the prunable weights.
        objective: Q of the last round's solution, n times the loss change that the quadratic predicts; None where the
            method takes no gradients.
        trace: the solver's objective on the way.
        samples: calibration images used.
        seconds: time of each stage by name, by the wall's clock unless another one was given.
        layers: in the order of the network.
        threads: of torch while pruning.
        distilled_epochs: epochs of the fine-tuning whose result was kept.
        distillation: each fine-tuning, with the reason why its result was kept or not.
        dense: the weights that were not pruned, and why.
        compared: how the outputs of two networks were compared.
        rewritten: modules that were folded or written otherwise, one phrase each.

    """

    method: str
    structure: str
    sparsity: float
    objective: float | None
    trace: tuple[float, ...]
    samples: int
    seconds: dict[str, float]
    layers: tuple[LayerFigures, ...]
    threads: int
    distilled_epochs: int = 0
    distillation: tuple[DistillationStep, ...] = ()
    dense: tuple[KeptDense, ...] = ()
    compared: str = ""
    rewritten: tuple[str, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """What was found about the network, see `found_sentences`."""
        return found_sentences(self.compared, self.dense, self.rewritten)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings."""
        return asdict(self)


def found_sentences(compared: str, dense: Sequence[KeptDense], rewritten: Sequence[str] = ()) -> tuple[str, ...]:
    """What was found about a network: how its outputs are compared, what was rewritten, what stays dense."""
    reasons: dict[str, list[str]] = {}
    for one in dense:
        reasons.setdefault(one.reason, []).append(f"{one.name} ({one.owner})")
    return (
        *([f"Outputs are compared by {compared}."] * bool(compared)),
        *(f"Rewritten: {change}." for change in rewritten),
        *(f"Not pruned, {reason}: {', '.join(names)}." for reason, names in reasons.items()),
    )


@dataclass(frozen=True)
class PruneResult:
    """A pruned copy of a network.

    Attributes:
        model: the network, zeros in place, in evaluation mode.
        masks: bool masks by weight name, True where a weight is kept.
        figures: what happened.

    """

    model: nn.Module
    masks: dict[str, torch.Tensor]
    figures: PruneFigures


def figures_of(
    config: PruneConfig,
    solution: Solution,
    masks: dict[str, torch.Tensor],
    samples: int,
    seconds: dict[str, float],
) -> PruneFigures:
    """Figures of a run that ended with this solution and these masks; the layers are in the order of the masks."""
    layers = tuple(
        LayerFigures(name, tuple(mask.shape), int(mask.sum()), 1 - float(mask.float().mean()))
        for name, mask in masks.items()
    )
    size = sum(mask.numel() for mask in masks.values())
    return PruneFigures(
        method=config.method,
        structure=config.structure,
        sparsity=1 - sum(layer.nnz for layer in layers) / size,
        objective=solution.objective,
        trace=solution.trace,
        samples=samples,
        seconds=seconds,
        layers=layers,
        threads=config.threads,
    )
