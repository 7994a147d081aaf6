"""Compression to int8: prune and round together, an integer network and its fake-quantised twin that trains."""

from chita_edge.quantization.compress import Compressed, compress, compress_plan
from chita_edge.quantization.config import CompressionConfig
from chita_edge.quantization.distance import tempered_divergence
from chita_edge.quantization.errors import QuantizationError, QuantizationOptionError, UnsupportedNetworkError
from chita_edge.quantization.graph import Graph
from chita_edge.quantization.grid import Grid
from chita_edge.quantization.network import QuantisedLayer, QuantisedNetwork
from chita_edge.quantization.plan import Plan, prepare
from chita_edge.quantization.ranges import RANGES
from chita_edge.quantization.trace import trace

__all__ = [
    "RANGES",
    "Compressed",
    "CompressionConfig",
    "Graph",
    "Grid",
    "Plan",
    "QuantisedLayer",
    "QuantisedNetwork",
    "QuantizationError",
    "QuantizationOptionError",
    "UnsupportedNetworkError",
    "compress",
    "compress_plan",
    "prepare",
    "tempered_divergence",
    "trace",
]
