"""Numbers, dates and code as the page writes them; a missing or invalid number is a dash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from markupsafe import Markup, escape

from device_bench.short_numbers import short

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
    """A number in three digits and k, M or G."""
    return short(value) if _is_number(value) else NOTHING


def moment(date: str) -> str:
    """An ISO 8601 date to the minute, in UTC; other text as it is."""
    try:
        then = datetime.fromisoformat(date)
    except ValueError:
        return date
    if then.tzinfo is None:
        return f"{then:%Y-%m-%d %H:%M}"
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def code(sentence: str) -> Markup:
    """A sentence as HTML, with what stands between backticks set as code."""
    parts = [escape(part) for part in sentence.split("`")]
    if len(parts) % 2 == 0:
        return escape(sentence)
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def megabytes(value: Any) -> str:
    """Bytes as MB."""
    return f"{value / 1e6:.2f} MB" if _is_number(value) else NOTHING


def milliseconds(value: Any) -> str:
    """Milliseconds with three digits."""
    return f"{value:.3f}" if _is_number(value) else NOTHING


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
