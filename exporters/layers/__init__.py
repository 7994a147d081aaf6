"""Layers of a graph: how they are found, what is fused into them, what is asked and told about them."""

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
