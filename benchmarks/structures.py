"""Random weights of a layer in a structure, the format that stores it, and the bytes that it takes in a file."""

from __future__ import annotations

import numpy as np
from layers import Layer

from exporters.weights import csr, nm


def format_of(layer: Layer, structure: str) -> str:
    """csr, or the structure where the layer can have it; empty for a layer that is never sparse."""
    if not layer.op.startswith("csr"):
        return ""
    if structure.endswith("x1") and layer.op == "csr_conv" and layer.out_channels % int(structure[0]) == 0:
        return structure
    return structure if ":" in structure else "csr"


def random_weights(layer: Layer, sparsity: float, structure: str, rng: np.random.Generator) -> np.ndarray:
    """float32 [out, in * taps], for a depthwise layer [out, taps]; N:M weights have N in every whole group of M."""
    kind, taps = format_of(layer, structure), layer.kernel**2
    inputs = 1 if layer.op in ("depthwise_conv", "global_average_pool") else layer.in_channels
    weights = rng.standard_normal((layer.out_channels, inputs * taps), np.float32)
    if ":" in kind:
        n, m = (int(part) for part in kind.split(":"))
        cells = weights.reshape(layer.out_channels, inputs, taps)
        for first in range(0, inputs, m):
            part = cells[:, first : first + m]
            part[np.argsort(np.argsort(rng.random(part.shape), axis=1), axis=1) >= n] = 0
    elif kind:
        rows = 1 if kind == "csr" else int(kind[0])
        drawn = rng.random((layer.out_channels // rows, weights.shape[1])) < sparsity
        weights[np.repeat(drawn, rows, axis=0)] = 0
    return weights


def stored_bytes(layer: Layer, weights: np.ndarray, kind: str) -> int:
    """Of the sparse weight in a file, without its bias."""
    sides = () if layer.op == "csr_gemm" else (layer.kernel, layer.kernel)
    weight = weights.reshape(layer.out_channels, layer.in_channels, *sides)
    if ":" in kind:
        return nm.from_dense(weight, int(kind.split(":")[1])).nbytes
    return csr.from_dense(weight, int(kind[0]) if kind.endswith("x1") else 1).nbytes
