"""Sparsity patterns: the sets of masks that pruning may choose from, each with its projection."""

from chita_edge.pruning.patterns.pattern import Pattern
from chita_edge.pruning.patterns.registry import PATTERNS, get_pattern
from chita_edge.pruning.patterns.unstructured import Unstructured

__all__ = ["PATTERNS", "Pattern", "Unstructured", "get_pattern"]
