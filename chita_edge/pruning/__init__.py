"""The mathematics of pruning: tensors in, tensors out; knows neither networks nor data sets."""

from chita_edge.pruning.allocation import ALLOCATIONS, Constraint, LayerFacts, get_allocation
from chita_edge.pruning.errors import InfeasibleBudgetError, NonFiniteProblemError, PruningError, UnknownNameError
from chita_edge.pruning.linalg.back_solve import back_solve
from chita_edge.pruning.patterns import PATTERNS, Pattern, get_pattern
from chita_edge.pruning.problem import Layer, Problem
from chita_edge.pruning.quadratic import Quadratic
from chita_edge.pruning.solvers import SOLVERS, Solution, Solver, get_solver

__all__ = [
    "ALLOCATIONS",
    "PATTERNS",
    "SOLVERS",
    "Constraint",
    "InfeasibleBudgetError",
    "Layer",
    "LayerFacts",
    "NonFiniteProblemError",
    "Pattern",
    "Problem",
    "PruningError",
    "Quadratic",
    "Solution",
    "Solver",
    "UnknownNameError",
    "back_solve",
    "get_allocation",
    "get_pattern",
    "get_solver",
]
