"""A convolution or linear layer as the exporter decides on it: its kind, its weight as ops store it, its report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from exporters.layers.info import ExportedLayer, FloatDtype, SparsifyCandidate
from exporters.layers.placed_layer import OPEN_SIDE, PlacedLayer
from exporters.ops import OPS
from exporters.weights import nm
from exporters.weights.csr import Csr, find_blocks, from_dense, in_half_precision
from exporters.weights.dtypes import half_precision_error
from exporters.weights.nm import Nm

Kind = Literal["conv", "gemm", "depthwise", "stem", "other"]
# Input channels of a stem at most: grey, colour, colour with depth or alpha.
_STEM_CHANNELS = 4
# Rounding to float16 costs a number at most 2**-11 of itself; twice that is more than rounding in every channel.
_HALF_ERROR = 2.0**-10
_OPEN = f"; its size is open, and counts as {OPEN_SIDE} a side"


@dataclass(frozen=True, eq=False)
class Layer(PlacedLayer):
    """A layer that an op of our domain may take the place of, or that says why none can."""

    @cached_property
    def kind(self) -> Kind:
        """Kind of op that can replace the layer."""
        if self.why_other:
            return "other"
        if self.weight.ndim == 2:
            return "gemm"
        if self.group > 1:
            return "depthwise"
        if self.source.is_graph_input() and self.kernel != (1, 1) and self.weight.shape[1] <= _STEM_CHANNELS:
            return "stem"
        return "conv"

    @cached_property
    def why_other(self) -> str:
        """Reason why no op of our domain can replace the layer; empty when one can."""
        if self.unfit:
            return self.unfit
        if self.out_pixels is None:
            return "the number of its dimensions is not known"
        if self.group > 1 and not (self.weight.shape[1] == 1 and self.weight.shape[0] == self.group):
            return "it is a grouped convolution"
        if self.own_pads is None:
            return "its padding is automatic, and its input's size not fixed"
        return ""

    @property
    def why_dense(self) -> str:
        """Reason why the layer stays dense without a decision."""
        return {"depthwise": "it is a depthwise convolution", "stem": "it is the stem"}.get(self.kind, self.why_other)

    @property
    def is_candidate(self) -> bool:
        """Whether the layer may become CSR."""
        return self.kind in ("conv", "gemm")

    @property
    def sparse_op(self) -> str:
        """The op of ours that it could become: CSR, or dense for the kinds that stay dense; else the one that it is."""
        if self.kind == "other":
            return self.node.op_type
        if self.kind in ("depthwise", "stem"):
            return "DepthwiseConv" if self.kind == "depthwise" else "DenseConv"
        if self.weight.ndim == 2:
            return "CsrGemm"
        return "CsrConv" if self.residual is None else "CsrConvAdd"

    @cached_property
    def nnz(self) -> int:
        """Non-zero weights."""
        return int(np.count_nonzero(self.weight))

    @cached_property
    def block_rows(self) -> int:
        """Output channels that share their columns; 1 for what no op in blocks can take."""
        return find_blocks(self.weight) if self.kind == "conv" else 1

    @cached_property
    def half_error(self) -> float:
        """Largest loss of a channel's weights in float16, see :func:`half_precision_error`."""
        return half_precision_error(self.weight)

    def dtype(self, weight_dtype: FloatDtype) -> FloatDtype:
        """The type that the values are stored in where ``weight_dtype`` was asked for."""
        return "float32" if weight_dtype == "float16" and not self.half_error <= _HALF_ERROR else weight_dtype

    def csr(self, weight_dtype: FloatDtype, in_blocks: bool = False) -> Csr:
        """The weight as it is stored in a CSR op."""
        exact = self._blocks if in_blocks else self._rows
        return in_half_precision(exact) if self.dtype(weight_dtype) == "float16" else exact

    @cached_property
    def _rows(self) -> Csr:
        return from_dense(self.weight)

    @cached_property
    def _blocks(self) -> Csr:
        return self._rows if self.block_rows == 1 else from_dense(self.weight, self.block_rows)

    def nm_group(self, weight_dtype: FloatDtype) -> int:
        """Channels of a group in which N:M takes fewer bytes than CSR; 0 where there are none or no op can take it."""
        if self.dtype(weight_dtype) not in self._groups:
            found = nm.find_group(self.weight, self.csr(weight_dtype)) if self.is_candidate else 0
            self._groups[self.dtype(weight_dtype)] = found
        return self._groups[self.dtype(weight_dtype)]

    @cached_property
    def _groups(self) -> dict[FloatDtype, int]:
        return {}

    def stored(self, op: str, weight_dtype: FloatDtype) -> Csr | Nm:
        """The weight as that sparse op stores it."""
        if not OPS[op].is_nm:
            return self.csr(weight_dtype, OPS[op].in_blocks)
        exact = nm.from_dense(self.weight, self.nm_group(weight_dtype))
        return nm.in_half_precision(exact) if self.dtype(weight_dtype) == "float16" else exact

    def info(self) -> SparsifyCandidate:
        """Describe the layer for ``select``."""
        return SparsifyCandidate(
            name=self.name,
            op=self.sparse_op,
            out_channels=self.weight.shape[0],
            in_channels=self.weight.shape[1],
            kernel=self.kernel,
            stride=(self.strides[0], self.strides[1]),
            out_pixels=self.out_pixels or 1,
            nnz=self.nnz,
            sparsity=1 - self.nnz / self.weight.size,
            block_rows=self.block_rows,
            block_density=self._blocks.values.size / self.weight.size if self.block_rows > 1 else 0.0,
            sides=1 if self.form == "line" else 2,
        )

    def report(self, op: str | None, reason: str, weight_dtype: FloatDtype = "float32") -> ExportedLayer:
        """Report the layer's export as ``op`` of our domain, or None when it stays as it is."""
        bytes_dense = self.weight.nbytes + self.bias.nbytes
        stored = self.stored(op, weight_dtype) if op is not None and OPS[op].is_sparse else None
        macs = stored.nnz if isinstance(stored, Nm) else stored.values.size if stored else self.weight.size
        pixels = self.out_pixels or 0
        return ExportedLayer(
            name=self.name,
            op=op or self.node.op_type,
            shape=self.shape,
            sparsity=1 - self.nnz / self.weight.size,
            nnz=self.nnz,
            format=stored.format if stored else "depthwise" if self.kind == "depthwise" else "dense",
            reason=reason + (self._why_whole(weight_dtype) if stored else "") + (_OPEN if self.is_open else ""),
            bytes_dense=bytes_dense,
            bytes=stored.nbytes + self.bias.nbytes if stored else bytes_dense,
            macs_dense=self.weight.size * pixels,
            macs=macs * pixels,
        )

    def _why_whole(self, weight_dtype: FloatDtype) -> str:
        """Reason why the values keep float32 though float16 was asked for; empty where they do not."""
        if self.dtype(weight_dtype) == weight_dtype:
            return ""
        if math.isinf(self.half_error):
            return "; its values stay float32, as some are beyond the largest number of float16"
        lost = f"{self.half_error:.2g}"
        return f"; its values stay float32, as float16 would take {lost} of a channel's weights (underflow)"
