"""Choice of the weights to prune by names, types and ``re:`` patterns, with the reason for each that stays dense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from chita_edge.network.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chita_edge.network.weights import Weight


@dataclass(frozen=True)
class KeptDense:
    """A weight tensor that is not pruned, and why."""

    name: str
    shape: tuple[int, ...]
    owner: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """The weights of a network, told apart.

    Attributes:
        names: to prune, in the order of the network.
        dense: the others.
        head: of the names, the one that makes the output and is kept denser; None where there is none.
    """

    names: tuple[str, ...]
    dense: tuple[KeptDense, ...]
    head: str | None = None


def select(
    weights: Sequence[Weight],
    *,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
    prunable: Sequence[str] | None = None,
) -> Selection:
    """Tell what is pruned from what stays dense.

    A pattern is the name of a weight, or of a module that holds it; a module's class; or ``re:`` and a regular
    expression that a weight's name begins with. By default depthwise convolutions and the first layer stay dense: they
    hold few weights, and most of what pruning can break.

    Args:
        weights: of `find_weights`.
        only: patterns of what is pruned; everything that can be, but for the defaults, when empty.
        ignore: patterns of what is not.
        prunable: names that are known to be worth it, instead of the defaults.

    Raises:
        CalibrationError: a pattern matches no weight, or only ones that cannot be pruned; or is no regular expression.
    """
    wanted, refused = _matches(weights, only), _matches(weights, ignore)
    names: list[str] = []
    dense: list[KeptDense] = []
    for weight in weights:
        reason = weight.obstacle
        if not reason and weight.name in refused:
            reason = f"left out by {refused[weight.name]!r}"
        elif not reason and only and weight.name not in wanted:
            reason = "not among what is to be pruned"
        elif not reason and not only:
            reason = _by_default(weight, prunable)
        if reason:
            dense.append(KeptDense(weight.name, weight.shape, weight.owner, reason))
        else:
            names.append(weight.name)
    for weight in weights:
        if weight.name in wanted and weight.obstacle and wanted[weight.name] in only and not names:
            raise CalibrationError(f"{weight.name} cannot be pruned: {weight.obstacle}.")
    head = next((weight.name for weight in weights if weight.head and weight.name in names), None)
    return Selection(tuple(names), tuple(dense), head)


def _by_default(weight: Weight, prunable: Sequence[str] | None) -> str:
    if prunable is not None:
        return "" if weight.name in prunable else "kept dense in this network"
    if weight.kind == "depthwise":
        return "a depthwise convolution: few weights, and much that pruning would break"
    return "the first layer: few weights, and much that pruning would break" if weight.first else ""


def _matches(weights: Sequence[Weight], patterns: Sequence[str]) -> dict[str, str]:
    """The weights that some pattern matches, and the first that does."""
    found: dict[str, str] = {}
    for pattern in patterns:
        names = [weight.name for weight in weights if matches(weight.name, weight.owner, pattern)]
        if not names:
            known = [weight.name for weight in weights] + [weight.owner for weight in weights]
            alike = get_close_matches(pattern, known, 1)
            hint = f" Did you mean {alike[0]}?" if alike else ""
            raise CalibrationError(f"The pattern {pattern!r} matches no weight of the network.{hint}")
        for name in names:
            found.setdefault(name, pattern)
    return found


def matches(name: str, owner: str, pattern: str) -> bool:
    """Whether a pattern means a weight of this name, held by a module of this class.

    Raises:
        CalibrationError: it is no regular expression.
    """
    if pattern.startswith("re:"):
        try:
            return re.match(pattern.removeprefix("re:"), name) is not None
        except re.error as error:
            raise CalibrationError(f"The pattern {pattern!r} is no regular expression: {error}.") from None
    return pattern in (name, owner) or name.startswith(f"{pattern}.")


def named_sparsities(weights: Sequence[Weight], given: Mapping[str, float]) -> dict[str, float]:
    """Sparsities by weight from those by pattern, of which the last that matches counts.

    Raises:
        CalibrationError: a pattern matches no weight.
    """
    found: dict[str, float] = {}
    for pattern, sparsity in given.items():
        found |= dict.fromkeys(_matches(weights, [pattern]), sparsity)
    return found
