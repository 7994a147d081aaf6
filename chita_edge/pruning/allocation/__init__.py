"""Budgets: how many weights the network, or each of its layers, may keep, and the projection onto that."""

from chita_edge.pruning.allocation.constraint import Constraint
from chita_edge.pruning.allocation.facts import LayerFacts
from chita_edge.pruning.allocation.registry import ALLOCATIONS, get_allocation

__all__ = ["ALLOCATIONS", "Constraint", "LayerFacts", "get_allocation"]
