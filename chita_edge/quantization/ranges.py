"""Range of an activation tensor from calibration values, by several criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.quantization.errors import QuantizationError, QuantizationOptionError
from chita_edge.quantization.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

_SAMPLE = 1 << 16
_SHARES = 25


def min_max(values: torch.Tensor) -> Grid:
    """From the least to the largest value."""
    return Grid.spanning(float(values.min()), float(values.max()))


def percentile(values: torch.Tensor, share: float = 1e-4) -> Grid:
    """Without the outermost 0.01 % at each end."""
    ordered = _sample(values).sort().values
    cut = int(share * len(ordered))
    return Grid.spanning(float(ordered[cut]), float(ordered[len(ordered) - 1 - cut]))


def mse(values: torch.Tensor) -> Grid:
    """The range of the least squared error of the values; either end is drawn in by up to 60 %."""
    sample = _sample(values)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    shares = torch.linspace(1.0, 0.4, _SHARES).tolist()

    def error(grid: Grid) -> float:
        return float((grid.dequantise(grid.quantise(sample)) - sample).square().mean())

    best = min((Grid.spanning(low, high * share) for share in shares), key=error) if high else Grid.spanning(low, high)
    if low < 0:
        top = (255 - best.zero) * best.scale
        best = min((Grid.spanning(low * share, top) for share in shares), key=error)
    return best


RANGES: dict[str, Callable[[torch.Tensor], Grid]] = {"min_max": min_max, "percentile": percentile, "mse": mse}


def find_grid(values: torch.Tensor, how: str, name: str = "a tensor") -> Grid:
    """The grid of a tensor's values by one of `RANGES`.

    Raises:
        QuantizationError: a value is not finite.
        QuantizationOptionError: there is no such criterion.
    """
    if how not in RANGES:
        raise QuantizationOptionError(f"There is no activation range {how!r}; there are: {', '.join(RANGES)}.")
    if not bool(torch.isfinite(values).all()):
        raise QuantizationError(f"The values of {name} are not finite for the calibration images.")
    return RANGES[how](values)


def _sample(values: torch.Tensor) -> torch.Tensor:
    """Evenly spread values, at most some 65,000, with the extremes among them."""
    flat = values.flatten()
    if len(flat) <= _SAMPLE:
        return flat
    step = len(flat) // _SAMPLE
    step += step % 2 == 0  # odd, so that it does not stay on the same columns of an image
    return torch.cat((flat[::step], flat.min()[None], flat.max()[None]))
