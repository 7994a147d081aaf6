"""Solvers of the pruning problem: support and values of the weights that stay."""

from chita_edge.pruning.solvers.cbs import Cbs
from chita_edge.pruning.solvers.chita import Chita
from chita_edge.pruning.solvers.chita_bso import ChitaBso
from chita_edge.pruning.solvers.magnitude import Magnitude
from chita_edge.pruning.solvers.mfac import MFac
from chita_edge.pruning.solvers.obd import Obd
from chita_edge.pruning.solvers.obs import Obs
from chita_edge.pruning.solvers.registry import SOLVERS, get_solver
from chita_edge.pruning.solvers.solver import Solution, Solver
from chita_edge.pruning.solvers.woodfisher import WoodFisher
from chita_edge.pruning.solvers.woodfisher_full import WoodFisherFull

__all__ = [
    "SOLVERS",
    "Cbs",
    "Chita",
    "ChitaBso",
    "MFac",
    "Magnitude",
    "Obd",
    "Obs",
    "Solution",
    "Solver",
    "WoodFisher",
    "WoodFisherFull",
    "get_solver",
]
