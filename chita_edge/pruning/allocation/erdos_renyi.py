"""Budgets that grow as layers shrink: the Erdős–Rényi kernel rule and a milder one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chita_edge.pruning.allocation.budgets import kept_of

if TYPE_CHECKING:
    import torch


def erk_budget(shapes: tuple[torch.Size, ...], sparsity: float) -> tuple[int, ...]:
    """Erdős–Rényi kernel (Evci et al. 2020, arXiv 1911.11134, section 3): density ∝ (Σ dimensions) / (Π dimensions).

    Small layers, which come first in a convolutional network and do most work a weight, stay nearly dense.
    """
    return _powered(shapes, sparsity, 1.0)


def balanced_budget(shapes: tuple[torch.Size, ...], sparsity: float) -> tuple[int, ...]:
    """Between uniform and `erk_budget`: density ∝ the cube root of the kernel rule's.

    Uniform sparsity saves most multiplications and costs most accuracy, the kernel rule the other way round.
    """
    return _powered(shapes, sparsity, 1 / 3)


def _powered(shapes: tuple[torch.Size, ...], sparsity: float, power: float) -> tuple[int, ...]:
    """Density ∝ raw density ** power; layers that would exceed 1 stay dense and the others share what is left."""
    sizes = [shape.numel() for shape in shapes]
    total = kept_of(sum(sizes), sparsity)
    weights = [(sum(shape) / size) ** power for shape, size in zip(shapes, sizes, strict=True)]
    dense: set[int] = set()
    while True:
        open_layers = [i for i in range(len(sizes)) if i not in dense]
        left = total - sum(sizes[i] for i in dense)
        scale = left / max(sum(weights[i] * sizes[i] for i in open_layers), 1e-300)
        full = {i for i in open_layers if scale * weights[i] > 1}
        if not full:
            break
        dense |= full
    exact = [float(sizes[i]) if i in dense else scale * weights[i] * sizes[i] for i in range(len(sizes))]
    return _rounded(exact, sizes, total)


def _rounded(exact: list[float], sizes: list[int], total: int) -> tuple[int, ...]:
    """Round to whole weights with the exact total: the largest remainders are rounded up."""
    kept = [min(int(value), size) for value, size in zip(exact, sizes, strict=True)]
    order = sorted(range(len(exact)), key=lambda i: (kept[i] - exact[i], i))
    for i in order:
        if sum(kept) == total:
            break
        if kept[i] < sizes[i]:
            kept[i] += 1
    return tuple(kept)
