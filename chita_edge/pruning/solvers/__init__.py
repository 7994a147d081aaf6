"""Solvers: each chooses which weights to keep and what they become."""

from chita_edge.pruning.solvers.chita import Chita
from chita_edge.pruning.solvers.chita_bso import ChitaBso
from chita_edge.pruning.solvers.magnitude import Magnitude
from chita_edge.pruning.solvers.registry import SOLVERS, get_solver
from chita_edge.pruning.solvers.solver import Solution, Solver

__all__ = ["SOLVERS", "Chita", "ChitaBso", "Magnitude", "Solution", "Solver", "get_solver"]
