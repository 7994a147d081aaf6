"""Gram matrices, in bfloat16 where the processor multiplies that several times faster than float32."""

from __future__ import annotations

from functools import cache

import torch

# Below these sizes the conversion costs what the product saves.
_LEAST_ROWS = 96
_LEAST_LENGTH = 256
# Tiles of the matrix unit: a product of rows that fill them whole is faster than one of fewer rows that do not.
_TILE = 32


@cache
def bfloat16_pays() -> bool:
    """Whether this processor has a bfloat16 matrix unit (AMX)."""
    return bool(torch.cpu._is_amx_tile_supported())


def gram(rows: torch.Tensor, *, fast: bool | None = None) -> torch.Tensor:
    """C Cᵀ of float32 rows C (m, n): float32 (m, m), symmetric.

    Args:
        rows: C.
        fast: in bfloat16, each entry then within about 2⁻⁸ of √(C Cᵀ)_ii (C Cᵀ)_jj; good for choosing and as a
            preconditioner, not as a result. By default where the processor gains by it and C is large enough.
    """
    m, n = rows.shape
    if fast is None:
        fast = bfloat16_pays() and m >= _LEAST_ROWS and n >= _LEAST_LENGTH
    if not fast:
        return rows @ rows.T
    if m % _TILE == 0:
        converted = rows.bfloat16()
        return (converted @ converted.T).float()
    padded = torch.empty(-(-m // _TILE) * _TILE, n, dtype=torch.bfloat16)
    padded[:m] = rows
    padded[m:] = 0
    return (padded @ padded.T)[:m, :m].float()


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
