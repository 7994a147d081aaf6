"""Numbers as the page writes them; what is no number, or missing, is a dash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table of the page: `words` are the headings of columns with text, `bar` the one whose shares get a bar."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()
    bar: str = ""


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def percent(value: Any, digits: int) -> str:
    """A share as a percentage."""
    return f"{100 * value:.{digits}f} %" if _is_number(value) else NOTHING


def count(value: Any) -> str:
    """A number in at most four characters and k, M or G."""
    if not _is_number(value):
        return NOTHING
    scaled, unit = float(value), ""
    for unit in ("", " k", " M", " G"):
        if abs(scaled) < 999.5 or unit == " G":
            break
        scaled /= 1000
    return f"{scaled:.0f}{unit}" if abs(scaled) >= 99.5 or not unit else f"{scaled:.3g}{unit}"


def megabytes(value: Any) -> str:
    """Bytes as MB."""
    return f"{value / 1e6:.2f} MB" if _is_number(value) else NOTHING


def milliseconds(value: Any) -> str:
    """Milliseconds with three digits."""
    return f"{value:.3f}" if _is_number(value) else NOTHING


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
