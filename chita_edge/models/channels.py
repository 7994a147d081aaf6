"""The rounding of channel numbers that the MobileNets from the second on have in common."""

from __future__ import annotations


def round_channels(channels: float) -> int:
    """A multiple of 8, at least 8, never more than a tenth below ``channels``: the rule of MobileNetV2's authors."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
