"""Sentence for a network whose numbers were raised to float32."""

from __future__ import annotations

from collections.abc import Sequence


def raised(kinds: Sequence[str]) -> tuple[str, ...]:
    """Sentence for a network whose numbers are of half precision, or of other types than float32."""
    if not kinds:
        return ()
    return (f"The network holds {' and '.join(kinds)}: its weights, inputs and outputs are raised to float32.",)
