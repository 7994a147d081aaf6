"""The pruning methods by name: which solver, in how many stages, and what follows."""

from __future__ import annotations

from dataclasses import dataclass

from chita_edge.pruning import UnknownNameError


@dataclass(frozen=True)
class Method:
    """A way to prune a network.

    Attributes:
        solver: a name of `chita_edge.pruning.SOLVERS`; decides how much each layer keeps, and first which weights.
        summary: one line for ``--help``.
        reconstruct: refit each layer afterwards, and its support with it.
        stages: times that gradients are taken and weights are chosen, along a schedule of rising sparsity.
        tempering: exponent of the curvature by which a global budget is shared among layers, see `tempered`.
    """

    solver: str
    summary: str
    reconstruct: bool = False
    stages: int = 1
    tempering: float = 0.0


METHODS: dict[str, Method] = {
    "default": Method(
        "chita_bso", "what this project recommends: chita_bso, then reconstruct", reconstruct=True, tempering=-0.3
    ),
    "magnitude": Method("magnitude", "the largest weights, unchanged"),
    "obd": Method("obd", "Optimal Brain Damage: the Hessian's diagonal"),
    "obs": Method("obs", "Optimal Brain Surgeon in blocks, all removals of a block corrected together"),
    "woodfisher": Method("woodfisher", "WoodFisher in blocks, the corrections of single removals added up"),
    "mfac": Method("mfac", "M-FAC: as WoodFisher, over all weights at once"),
    "cbs": Method("cbs", "Combinatorial Brain Surgeon in blocks: removals selected and corrected together"),
    "chita": Method("chita", "CHITA on all weights at once"),
    "chita_bso": Method("chita_bso", "CHITA in blocks of weights"),
    "chita_pp": Method("chita_bso", "CHITA++: chita_bso in stages, gradients taken anew in each", stages=10),
    "chita_pp_reconstruct": Method(
        "chita_bso", "CHITA++, then reconstruct; slower than the default", reconstruct=True, stages=10, tempering=-0.3
    ),
    "reconstruct": Method("magnitude", "layer-wise reconstruction of magnitude's budgets", reconstruct=True),
}


def get_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in METHODS:
        raise UnknownNameError(f"There is no pruning method {name!r}; there are: {', '.join(METHODS)}.")
    return METHODS[name]
