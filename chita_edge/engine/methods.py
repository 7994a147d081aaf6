"""The pruning methods by name: which solver, in how many rounds, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chita_edge.errors import UsageError
from chita_edge.pruning import SOLVERS, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chita_edge.engine.config import PruneConfig

Curvature = Literal["loss", "logits", "outputs"]


@dataclass(frozen=True)
class Method:
    """A way to prune a network.

    Attributes:
        solver: a name of `chita_edge.pruning.SOLVERS`; decides how much each layer keeps, and first which weights.
        summary: one line for ``--help``.
        reconstruct: refit each layer afterwards, and its support with it.
        rounds: most times that gradients are taken and weights are chosen, along a schedule of rising sparsity; fewer
            where they suffice for each to keep half of what the one before has left, see `round_count`.
        curvature_exponent: of the curvature by which a global budget is shared among layers, see
            `curvature_weighted_budget`.
        ridges: multiples of `PruneConfig.ridge`; where there are several, each round solves with each of them and keeps
            the solution whose network is closest to the dense one.
        curvature: what the gradients are of where no loss is asked for, see `PruneConfig.curvature`.
        gradient_views: views of an image whose gradients are averaged, see `PruneConfig.gradient_views`.
    """

    solver: str
    summary: str
    reconstruct: bool = False
    rounds: int = 1
    curvature_exponent: float = 0.0
    ridges: tuple[float, ...] = (1.0,)
    curvature: Literal["logits", "outputs"] = "outputs"
    gradient_views: int = 1


def _baseline(solver: str, summary: str, *ridges: float) -> Method:
    """A baseline method, with the gradients of `chita_bso`, which serve it best, and a choice of ridges."""
    return Method(solver, summary, ridges=ridges, curvature="logits", gradient_views=2)


METHODS: dict[str, Method] = {
    "default": Method(
        "chita_bso",
        "what this project recommends: chita_bso, then reconstruct",
        reconstruct=True,
        curvature_exponent=-0.3,
    ),
    "magnitude": Method("magnitude", "the largest weights, unchanged"),
    "obd": _baseline("obd", "Optimal Brain Damage: the Hessian's diagonal", 1.0, 10.0, 100.0),
    "obs": _baseline("obs", "Optimal Brain Surgeon in blocks, one removal after another", 0.1),
    "woodfisher": _baseline("woodfisher", "WoodFisher in blocks, the corrections of single removals added up", 1.0),
    "mfac": _baseline("mfac", "M-FAC: as WoodFisher, over all weights at once", 1.0),
    "cbs": _baseline("cbs", "Combinatorial Brain Surgeon in blocks: removals selected and corrected together", 0.1),
    "chita": Method("chita", "CHITA on all weights at once"),
    "chita_bso": Method(
        "chita_bso", "CHITA in blocks of weights", ridges=(0.03, 1.0), curvature="logits", gradient_views=2
    ),
    "chita_pp": Method(
        "chita_bso",
        "CHITA++: chita_bso in rounds, gradients taken anew in each",
        rounds=4,
        ridges=(0.03, 1.0),
        curvature="logits",
        gradient_views=2,
    ),
    "chita_pp_reconstruct": Method(
        "chita_bso",
        "CHITA++, then reconstruct; slower than the default",
        reconstruct=True,
        rounds=4,
        curvature_exponent=-0.3,
    ),
    "reconstruct": Method("magnitude", "layer-wise reconstruction of magnitude's budgets", reconstruct=True),
}


def methods_of(solvers: Iterable[tuple[str, object]]) -> dict[str, Method]:
    """A method for each solver that has a ``summary`` and no method of its own, under the solver's name."""
    return {
        name: _baseline(name, str(solver.summary), 1.0)
        for name, solver in solvers
        if name not in METHODS and hasattr(solver, "summary")
    }


METHODS |= methods_of(SOLVERS.items())


def get_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in METHODS:
        raise UnknownNameError(f"There is no pruning method {name!r}; there are: {', '.join(METHODS)}.")
    return METHODS[name]


def round_count(config: PruneConfig) -> int:
    """How many rounds a run has: as many as it says, otherwise no more of its method's than halve what is left."""
    halvings = -math.log2(1 - config.sparsity)
    return config.rounds or min(get_method(config.method).rounds, max(1, math.ceil(halvings - 1e-9)))


def curvature_kind(config: PruneConfig) -> Curvature:
    """Function whose gradients a run takes: the outputs, which need no labels, unless a loss is asked for.

    Raises:
        UsageError: the first-order term is wanted of gradients that are not the loss's.
    """
    if not config.first_order:
        return config.curvature or ("loss" if config.loss is not None else get_method(config.method).curvature)
    if config.curvature not in (None, "loss"):
        raise UsageError('The first-order term is that of the loss; leave it out, or take curvature = "loss".')
    return "loss"


def gradient_views(config: PruneConfig) -> int:
    """How many views of an image a run's gradients are averaged over."""
    return config.gradient_views or get_method(config.method).gradient_views
