"""The networks that the command line knows, and reading their weights."""

from chita_edge.models.entry import ModelEntry, Normalisation
from chita_edge.models.registry import MODELS, get_model
from chita_edge.models.weights import WeightsError, load_weights

__all__ = ["MODELS", "ModelEntry", "Normalisation", "WeightsError", "get_model", "load_weights"]
