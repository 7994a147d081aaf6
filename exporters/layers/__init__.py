"""Layers of a graph: how they are found, what is fused into them, what is asked and told about them."""

from __future__ import annotations

from exporters.layers.info import Decide, Decision, Format, LayerInfo, LayerReport, SparseModel, Values

__all__ = ["Decide", "Decision", "Format", "LayerInfo", "LayerReport", "SparseModel", "Values"]
