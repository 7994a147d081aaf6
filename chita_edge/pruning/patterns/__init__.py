"""Sparsity patterns: the sets of masks that pruning may choose from, each with its projection."""

from chita_edge.pruning.patterns.cut import Cut
from chita_edge.pruning.patterns.grouped import Grouped
from chita_edge.pruning.patterns.n_of_m import NOfM
from chita_edge.pruning.patterns.pattern import Pattern
from chita_edge.pruning.patterns.registry import PATTERNS, get_pattern
from chita_edge.pruning.patterns.unstructured import Unstructured

__all__ = ["PATTERNS", "Cut", "Grouped", "NOfM", "Pattern", "Unstructured", "get_pattern"]
