"""Types of a layer on its way into the sparse file: candidate, decision, exported layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import onnx

FloatDtype = Literal["float32", "float16"]
Format = str
"""``csr``, ``csr 2x1``, ``csr 4x1``, ``dense``, ``depthwise``, or N:M with packed indices, such as ``2:4``."""


@dataclass(frozen=True)
class SparsifyCandidate:
    """A layer that could become sparse, as ``select`` sees it.

    op: the sparse op it would become, ``CsrConv``, ``CsrConvAdd`` or ``CsrGemm`` (:func:`exporters.describe` tells of
    other layers as well). kernel, stride: (height, width),
    (1, 1) for a linear layer. out_pixels: output height × width for one image, rows of a linear layer. sparsity: share
    of exact zeros among its out_channels · in_channels · kernel weights. block_rows: output channels whose non-zeros
    lie in the same columns, 2 or 4, else 1; block_density: share of the weights that such blocks store. sides: of what
    a convolution moves over, 1 for one whose height of 1 the file does not have.
    """

    name: str
    op: str
    out_channels: int
    in_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    out_pixels: int
    nnz: int
    sparsity: float
    block_rows: int = 1
    block_density: float = 0.0
    sides: int = 2


@dataclass(frozen=True)
class Decision:
    """Whether a layer becomes CSR, and why, in words for the manifest; in_blocks: in its blocks, if it has any."""

    sparse: bool
    reason: str
    in_blocks: bool = True


Decide = Callable[[SparsifyCandidate], Decision]


@dataclass(frozen=True)
class ExportedLayer:
    """A layer in the exported file, and the reason for its form.

    op: the op in the exported file. shape: of the dense weight. bytes: weights and bias as stored; bytes_dense: as
    float32. macs: multiply–accumulates for one image that the op performs; macs_dense: those of the dense layer.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    sparsity: float
    nnz: int
    format: Format
    reason: str
    bytes_dense: int
    bytes: int
    macs_dense: int
    macs: int


@dataclass(frozen=True, eq=False)
class SparseModel:
    """The exported model and its layers, in the order of the graph.

    apart: where it was asked for, the same network with each small layer a node of its own. notes: sentences on what
    was done to read the network.
    """

    model: onnx.ModelProto
    layers: tuple[ExportedLayer, ...]
    apart: onnx.ModelProto | None = None
    notes: tuple[str, ...] = ()
