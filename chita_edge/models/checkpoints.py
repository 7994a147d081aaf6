"""State dicts as people keep them: below other keys, under prefixes, in half precision, with masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from chita_edge.errors import ChitaEdgeError

# Where training code keeps a network's weights, in the order in which they are taken: averaged ones first, since it is
# they that are judged and published.
_PLACES = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "params_ema",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "params",
    "net",
    "network",
    "module",
)
_USUAL = {"module", "_orig_mod", "model", "net", "network"}
_DEPTH = 3
_COUNTER = "num_batches_tracked"
_MASKED = ("_orig", "_mask")


class WeightsError(ChitaEdgeError):
    """A weights file cannot be read or does not fit the network."""


@dataclass(frozen=True)
class FoundState:
    """A network's state within what a file holds.

    Attributes:
        tensors: by the network's names, and what else stands beside them.
        notes: what was done to find it, one phrase each.
    """

    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...]


def find_state(loaded: Any, wanted: Mapping[str, torch.Tensor]) -> FoundState | None:
    """The state dict in a loaded file that holds most of a network's names; None when there is no state dict in it.

    Names may be below keys (`state_dict`, `model`, `ema`, …) and share a prefix (``module.``, ``_orig_mod.``,
    ``model.``, or any other). Masks of `torch.nn.utils.prune` are applied, half precision is raised to the network's
    own, and counters of batch norm that old files do not have are the network's.

    Args:
        loaded: what was read; nothing of it is changed.
        wanted: the network's state dict.

    Raises:
        WeightsError: the network is there twice, under prefixes that do not say which is meant.
    """
    best: FoundState | None = None
    most, others = -1, list[tuple[str, ...]]()
    for place, state in _state_dicts(loaded, (), set()):
        found = _named(_merged(FoundState(dict(state), _said_place(place))), wanted)
        fitting = sum(name in found.tensors for name in wanted)
        if fitting > most:
            best, most, others = found, fitting, []
        elif fitting == most:
            others.append(place)
    if best is None:
        return None
    if most and others:
        best = replace(best, notes=(*best.notes, f"{_path(others[0])} would have fitted as well"))
    return _raised(_counted(best, wanted), wanted)


def _state_dicts(
    value: Any, place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, torch.Tensor]]]:
    """Every dict of tensors in a file with the keys that lead to it, those of `_PLACES` in their order."""
    if not isinstance(value, Mapping) or len(place) > _DEPTH or id(value) in seen:
        return
    seen.add(id(value))
    for key in sorted((key for key in value if key in _PLACES), key=_PLACES.index):
        yield from _state_dicts(value[key], (*place, key), seen)
    if value and all(isinstance(key, str) for key in value):
        tensors = {key: tensor for key, tensor in value.items() if isinstance(tensor, torch.Tensor)}
        if len(tensors) == len(value) or (place and tensors):
            yield place, tensors


def _said_place(place: tuple[str, ...]) -> tuple[str, ...]:
    return (f"taken from {_path(place)}",) if place else ()


def _path(place: tuple[str, ...]) -> str:
    return " / ".join(map(repr, place)) or "the top of the file"


def _named(found: FoundState, wanted: Mapping[str, torch.Tensor]) -> FoundState:
    """Names without the prefix under which most of the network's are; entries outside it are left out."""
    deepest = max((name.count(".") for name in wanted), default=0)
    prefixes: Counter[str] = Counter()
    for key in found.tensors:
        parts = key.rsplit(".", deepest + 1)
        ends = (".".join(parts[start:]) for start in range(len(parts)))
        prefixes.update(key.removesuffix(end) for end in ends if end in wanted)
    most = max(prefixes.values(), default=0)
    if prefixes[""] == most:
        return found
    possible = [prefix for prefix, count in prefixes.items() if count == most]
    usual = [prefix for prefix in possible if _USUAL.issuperset(prefix.split(".")[:-1])] or possible
    if len(usual) > 1:
        raise WeightsError(
            f"The weights file holds the network twice, under {usual[0]!r} and {usual[1]!r}. Save one of them alone."
        )
    (prefix,) = usual
    inside = {key[len(prefix) :]: tensor for key, tensor in found.tensors.items() if key.startswith(prefix)}
    notes = (*found.notes, f"names without their prefix {prefix!r}")
    outside = [key for key in found.tensors if not key.startswith(prefix)]
    if outside:
        notes = (*notes, f"{len(outside)} entries outside it left out, such as {outside[0]!r}")
    return FoundState(inside, notes)


def _merged(found: FoundState) -> FoundState:
    """Product of each ``weight_orig`` and ``weight_mask`` in place of the two."""
    tensors = dict(found.tensors)
    merged = [key.removesuffix(_MASKED[0]) for key in tensors if key.endswith(_MASKED[0])]
    merged = [name for name in merged if name + _MASKED[1] in tensors and name not in tensors]
    for name in merged:
        whole, mask = (tensors.pop(name + suffix) for suffix in _MASKED)
        if whole.shape != mask.shape or whole.layout != torch.strided or mask.layout != torch.strided:
            return found
        tensors[name] = whole * mask
    if not merged:
        return found
    return FoundState(tensors, (*found.notes, f"masks applied to {len(merged)} weights, such as {merged[0]!r}"))


def _counted(found: FoundState, wanted: Mapping[str, torch.Tensor]) -> FoundState:
    """Counters of batches taken from the network where the file has none at all."""
    counters = {name: tensor for name, tensor in wanted.items() if name.rpartition(".")[2] == _COUNTER}
    if not counters or any(name in found.tensors for name in counters):
        return found
    return FoundState(
        {**found.tensors, **counters}, (*found.notes, f"no {_COUNTER} of batch norm, which nothing needs")
    )


def _raised(found: FoundState, wanted: Mapping[str, torch.Tensor]) -> FoundState:
    """In the network's own precision."""
    other = {
        name: tensor
        for name, tensor in found.tensors.items()
        if name in wanted
        and tensor.dtype != wanted[name].dtype
        and tensor.is_floating_point()
        and wanted[name].is_floating_point()
        and tensor.layout == torch.strided
    }
    if not other:
        return found
    kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in other.values()})
    raised = {name: tensor.to(wanted[name].dtype) for name, tensor in other.items()}
    return FoundState(
        {**found.tensors, **raised}, (*found.notes, f"{len(other)} tensors converted from {' and '.join(kinds)}")
    )
