"""The pruning methods by name: which solver, in how many stages, and what follows."""

from __future__ import annotations

from dataclasses import dataclass

from chita_edge.pruning import UnknownNameError


@dataclass(frozen=True)
class Method:
    """A way to prune a network.

    Attributes:
        solver: a name of `chita_edge.pruning.SOLVERS`.
        summary: one line for ``--help``.

    """

    solver: str
    summary: str


METHODS: dict[str, Method] = {
    "default": Method("chita_bso", "what this project recommends: chita_bso"),
    "magnitude": Method("magnitude", "the largest weights, unchanged"),
    "chita": Method("chita", "CHITA on all weights at once"),
    "chita_bso": Method("chita_bso", "CHITA in blocks of weights"),
}


def get_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in METHODS:
        raise UnknownNameError(f"There is no pruning method {name!r}; there are: {', '.join(METHODS)}.")
    return METHODS[name]
