"""uint8 grid of an activation tensor: x = s (q − z)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

LEVELS = 255


@dataclass(frozen=True)
class Grid:
    """Affine uint8 quantisation of a tensor.

    Attributes:
        scale: s > 0, a float32 number.
        zero: z, 0 to 255; the code of 0.
    """

    scale: float
    zero: int

    @classmethod
    def spanning(cls, low: float, high: float) -> Grid:
        """The grid whose codes 0 and 255 are about ``low`` and ``high``; 0 is always one of its values."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32((high - low) / LEVELS)
        if not scale >= np.finfo(np.float32).tiny:  # a tensor that is always 0
            scale = np.float32(1.0)
        return cls(float(scale), int(np.clip(np.rint(-low / float(scale)), 0, LEVELS)))

    def quantise(self, values: torch.Tensor) -> torch.Tensor:
        """Q = saturate(rne(x / s) + z), as float32; the division is a float32 one, as in ONNX's QuantizeLinear."""
        return ((values / self.scale).round() + self.zero).clamp(0, LEVELS)

    def dequantise(self, codes: torch.Tensor) -> torch.Tensor:
        """S (q − z), float32."""
        return (codes.float() - self.zero) * self.scale

    def code_of(self, bound: float) -> int:
        """Code of a bound of an activation, saturated; of ±∞ the end of the grid."""
        return int(np.clip(np.rint(bound / self.scale) + self.zero, 0, LEVELS))
