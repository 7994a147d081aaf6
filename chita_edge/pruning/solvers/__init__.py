"""Solvers of the pruning problem: support and values of the weights that stay."""

from chita_edge.pruning.solvers.registry import SOLVERS, get_solver
from chita_edge.pruning.solvers.solver import Solution, Solver

__all__ = ["SOLVERS", "Solution", "Solver", "get_solver"]
