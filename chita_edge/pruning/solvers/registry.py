"""The solvers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.pruning.errors import UnknownNameError
from chita_edge.pruning.solvers.cbs import Cbs
from chita_edge.pruning.solvers.chita import Chita
from chita_edge.pruning.solvers.chita_bso import ChitaBso
from chita_edge.pruning.solvers.magnitude import Magnitude
from chita_edge.pruning.solvers.mfac import MFac
from chita_edge.pruning.solvers.obd import Obd
from chita_edge.pruning.solvers.obs import Obs
from chita_edge.pruning.solvers.woodfisher import WoodFisher
from chita_edge.pruning.solvers.woodfisher_full import WoodFisherFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.pruning.solvers.solver import Solver

SOLVERS: dict[str, Callable[[], Solver]] = {
    "magnitude": Magnitude,
    "obd": Obd,
    "obs": Obs,
    "woodfisher": WoodFisher,
    "woodfisher_full": WoodFisherFull,
    "mfac": MFac,
    "cbs": Cbs,
    "chita": Chita,
    "chita_bso": ChitaBso,
}


def get_solver(name: str) -> Solver:
    """The solver called ``name``, with its defaults.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in SOLVERS:
        raise UnknownNameError(f"There is no solver {name!r}; there are: {', '.join(SOLVERS)}.")
    return SOLVERS[name]()
