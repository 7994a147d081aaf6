"""Layers of a graph: finding them, fusing into them, and the types that describe them."""

from __future__ import annotations

from exporters.layers.info import Decide, Decision, ExportedLayer, FloatDtype, Format, SparseModel, SparsifyCandidate

__all__ = [
    "Decide",
    "Decision",
    "ExportedLayer",
    "FloatDtype",
    "Format",
    "SparseModel",
    "SparsifyCandidate",
]
