"""Numbers as a person reads them: 408 k instead of 4.08e+05."""

from __future__ import annotations

from device_bench.results import NANOSECONDS

_UNITS = ("", " k", " M", " G")


def short(value: float, digits: int = 3) -> str:
    """A finite number in so many digits and k, M or G."""
    scaled, unit = float(value), ""
    for unit in _UNITS:
        if abs(float(f"{scaled:.{digits}g}")) < 1000 or unit == _UNITS[-1]:
            break
        scaled /= 1000
    text = f"{scaled:.0f}" if abs(scaled) >= 10 ** (digits - 1) else f"{scaled:.{digits}g}"
    return text + unit


def figure(value: float, unit: str) -> str:
    """A time, or a count of something that is no time, in four digits with its unit."""
    if unit not in NANOSECONDS:
        return f"{short(value, 4)} {unit}"
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.4g} {unit}"
