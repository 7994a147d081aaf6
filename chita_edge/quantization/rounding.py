"""Rounding of weights to integers: scales a row, to nearest, and with the layer's Gram matrix in mind."""

from __future__ import annotations

import torch

_FLOOR_BITS = 29
_EMPTY_BITS = 20
_SHRINKS = 21
_SMALL_ROWS = 768


def largest_code(bits: int) -> int:
    """Largest magnitude of a symmetric code: 127 of 8 bits, 7 of 4."""
    return (1 << (bits - 1)) - 1


def row_scales(weights: torch.Tensor, bias: torch.Tensor, input_scale: float, bits: int = 8) -> torch.Tensor:
    """A scale for each row of weights, s = max|w| / 127 at 8 bits, float32 (out,).

    At fewer bits the scale is up to 60 % smaller, by the squared error of rounding to nearest. The scale is never so
    small that the bias, in units of s_x s, passes 2²⁹; a row without weights takes the one that holds its bias in 20
    bits.

    Args:
        weights: (out, K).
        bias: about what the bias will be, (out,).
        input_scale: s_x.
        bits: of the weights.
    """
    top = largest_code(bits)
    largest = weights.abs().amax(1)
    scale = largest / top
    if bits < 8:
        scale = _least_error(weights, scale, top)
    empty = largest == 0
    scale = torch.where(empty, bias.abs() / (input_scale * 2**_EMPTY_BITS), scale)
    floor = bias.abs() / (input_scale * 2**_FLOOR_BITS)
    scale = torch.maximum(scale, floor)
    return torch.where(scale > torch.finfo(torch.float32).tiny, scale, 1.0).float()


def _least_error(weights: torch.Tensor, scale: torch.Tensor, top: int) -> torch.Tensor:
    """The multiple of each row's scale, 0.4 to 1, with the least squared error."""
    best, least = scale, torch.full_like(scale, torch.inf)
    for share in torch.linspace(1.0, 0.4, _SHRINKS).tolist():
        tried = (scale * share).clamp_min(1e-30)[:, None]
        error = ((weights / tried).round().clamp(-top, top) * tried - weights).square().sum(1)
        better = error < least
        best, least = torch.where(better, scale * share, best), torch.where(better, error, least)
    return best


def round_nearest(weights: torch.Tensor, scale: torch.Tensor, bits: int = 8) -> torch.Tensor:
    """Q = clamp(rne(w / s)), float32 (out, K)."""
    top = largest_code(bits)
    return (weights / scale[:, None]).round().clamp(-top, top)


def round_with_gram(
    weights: torch.Tensor,
    scale: torch.Tensor,
    mask: torch.Tensor,
    gram: torch.Tensor,
    *,
    bits: int = 4,
    beam: int = 8,
    ridge: float = 1e-2,
) -> torch.Tensor:
    """Integers q on each row's support with a small (w − s q)ᵀ H (w − s q).

    GPTQ (Frantar et al. 2023, arXiv 2210.17323) is Babai's nearest plane on the Cholesky factor of H (Chen et al. 2025,
    arXiv 2507.18553): weights are rounded one after another, and what each loses is made up for by those that are not
    rounded yet. Here up to ``beam`` roundings of a row are kept at a time, the two nearest integers tried for each, and
    the best one is improved by single steps up or down. With a beam of 1 it is GPTQ. The result is never worse than
    rounding to nearest.

    Args:
        weights: w, float32 (out, K), 0 outside the mask.
        scale: s, (out,).
        mask: bool (out, K).
        gram: E x xᵀ, (K, K).
        bits: of the integers.
        beam: roundings kept.
        ridge: added to the diagonal of H, in units of its mean.

    Returns:
        q, float32 (out, K), 0 outside the mask.
    """
    hessian = gram.clone()
    hessian.diagonal().add_(ridge * float(gram.diagonal().mean()) + 1e-12)
    found = torch.zeros_like(weights)
    order = torch.argsort(hessian.diagonal(), stable=True)  # the largest are rounded first, that is from the end
    for rows in torch.split(torch.arange(len(weights)), 64):
        kept = mask[rows][:, order]
        counts = kept.sum(1)
        size = int(counts.max())
        if not size:
            continue
        columns = order[torch.argsort((~kept).to(torch.uint8), dim=1, stable=True)[:, :size]]
        inside = torch.arange(size)[None] < counts[:, None]
        system = hessian[columns[:, :, None], columns[:, None, :]]
        system = torch.where(inside[:, :, None] & inside[:, None, :], system, torch.eye(size))
        target = torch.where(inside, weights[rows].gather(1, columns) / scale[rows, None], 0.0)
        codes = round_rows(target, system, largest_code(bits), beam)
        found[rows[:, None].expand_as(columns)[inside], columns[inside]] = codes[inside]
    return found


def round_rows(target: torch.Tensor, systems: torch.Tensor, top: int, beam: int) -> torch.Tensor:
    """Integers q, |q| ≤ top, with a small (t − q)ᵀ H (t − q) for each of several rows.

    Args:
        target: t, (rows, n).
        systems: H, positive definite, (rows, n, n).
        top: largest magnitude.
        beam: roundings kept at a time.
    """
    upper = torch.linalg.cholesky(systems).mT  # H = RᵀR
    nearest = target.round().clamp(-top, top)
    # Short rows are searched more widely: it costs them little, and 12 weights are then as good as tried out.
    width = max(beam, _SMALL_ROWS // target.shape[1]) if beam > 1 else 1
    codes = _beam(target, upper, top, width)
    codes = _descend(codes, target, systems, top)
    plain = _descend(nearest, target, systems, top)
    better = _error(plain, target, systems) < _error(codes, target, systems)
    return torch.where(better[:, None], plain, codes)


def _error(codes: torch.Tensor, target: torch.Tensor, systems: torch.Tensor) -> torch.Tensor:
    rest = (target - codes)[:, :, None]
    return (rest.mT @ systems @ rest)[:, 0, 0]


def _beam(target: torch.Tensor, upper: torch.Tensor, top: int, width: int) -> torch.Tensor:
    """From the last weight to the first, the ``width`` roundings of least ‖R (t − q)‖² so far."""
    rows, n = target.shape
    rest = target.new_zeros(rows, 1, n)  # t − q of the weights that are rounded
    cost = target.new_zeros(rows, 1)
    for j in range(n - 1, -1, -1):
        pivot = upper[:, j, j, None]
        pull = (rest[:, :, j + 1 :] @ upper[:, j, j + 1 :, None])[:, :, 0] / pivot
        centre = target[:, j, None] + pull
        first = centre.round()
        second = torch.where(centre >= first, first + 1, first - 1)
        choices = torch.stack((first, second) if width > 1 else (first,), 2).clamp(-top, top)
        costs = (cost[:, :, None] + (pivot[:, :, None] * (centre[:, :, None] - choices)).square()).flatten(1)
        if width > 1:  # a clamp may have made both choices the same
            same = (choices[:, :, 0] == choices[:, :, 1]).repeat_interleave(2, 1)
            same[:, ::2] = False
            costs = costs.masked_fill(same, torch.inf)
        cost, chosen = costs.topk(min(width, costs.shape[1]), dim=1, largest=False)
        parent = chosen // choices.shape[2]
        rest = rest.gather(1, parent[:, :, None].expand(-1, -1, n))
        rest[:, :, j] = target[:, j, None] - choices.flatten(1).gather(1, chosen)
    best = cost.argmin(1)
    return (target - rest[torch.arange(rows), best]).round()


def _descend(codes: torch.Tensor, target: torch.Tensor, systems: torch.Tensor, top: int) -> torch.Tensor:
    """Single steps of ±1, the best of each row, while one lowers the error."""
    codes = codes.clone()
    diagonal = systems.diagonal(dim1=1, dim2=2)
    slope = (systems @ (codes - target)[:, :, None])[:, :, 0]
    rows = torch.arange(len(codes))
    for _ in range(2 * codes.shape[1]):
        down = torch.where(slope > 0, -1.0, 1.0)
        gain = torch.where((codes + down).abs() <= top, 2 * slope.abs() - diagonal, -torch.inf)
        best = gain.argmax(1)
        step = torch.where(gain[rows, best] > 1e-6 * diagonal[rows, best], down[rows, best], 0.0)
        if not bool(step.any()):
            break
        codes[rows, best] += step
        slope += step[:, None] * systems[rows, :, best]
    return codes
