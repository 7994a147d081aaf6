"""Gram matrices, in bfloat16 where the processor multiplies that several times faster than float32."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

# Below these sizes the conversion costs what the product saves.
_LEAST_ROWS = 96
_LEAST_LENGTH = 256
# Up to so many rows the product that rounds on the way is as fast as one of rounded rows, and its sums are not rounded.
_LARGEST_IMPLICIT = 1024


@cache
def bfloat16_pays() -> bool:
    """Whether this processor has a bfloat16 matrix unit (AMX)."""
    return bool(torch.cpu._is_amx_tile_supported())


def gram(rows: torch.Tensor, *, fast: bool | None = None, out: torch.Tensor | None = None) -> torch.Tensor:
    """C Cᵀ of float32 rows C (m, n): float32 (m, m), symmetric.

    Args:
        rows: C.
        fast: from C rounded to bfloat16, each entry then within about 2⁻⁸ of √(C Cᵀ)_ii (C Cᵀ)_jj, those of up to
            1,024 rows much closer; good for choosing and as a preconditioner, not as a result. By default where
            the processor gains by it and C is large enough.
        out: where the result goes, contiguous; it is returned.
    """
    m, n = rows.shape
    if fast is None:
        fast = bfloat16_pays() and m >= _LEAST_ROWS and n >= _LEAST_LENGTH
    if not fast:
        return torch.mm(rows, rows.T, out=out)
    if m <= _LARGEST_IMPLICIT:
        with _float32_through_bfloat16():
            return torch.mm(rows, rows.T, out=out)
    converted = rows.bfloat16()
    product = converted @ converted.T
    return product.float() if out is None else out.copy_(product)


@contextmanager
def _float32_through_bfloat16() -> Iterator[None]:
    """Products of float32 matrices round them to bfloat16 and add up in float32, which is also what comes out."""
    backend: Any = torch.backends.mkldnn
    settings = backend.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def dual_gram(rows: torch.Tensor, *, fast: bool | None = None, chunk: int = 16384) -> torch.Tensor:
    """Cᵀ C of float32 rows C (m, n) with many more rows than columns: float32 (n, n); see `gram`."""
    m, n = rows.shape
    if fast is None:
        fast = bfloat16_pays() and n >= _LEAST_ROWS and m >= _LEAST_LENGTH
    if not fast:
        return rows.T @ rows
    total = torch.zeros(n, n)
    for part in torch.split(rows, chunk):
        converted = part.bfloat16()
        total += converted.T @ converted
    return total
