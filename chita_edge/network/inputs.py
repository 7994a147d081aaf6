"""Several input tensors of a network, as one batch of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from chita_edge.network.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@dataclass(frozen=True)
class SeveralInputs:
    """Input tensors of n samples, the samples first in each; cut along the samples as a tensor is.

    Attributes:
        tensors: what the network takes, in its order; at least one, all of n entries.
        names: of forward's parameters that they are given to; by position when None.
    """

    tensors: tuple[torch.Tensor, ...]
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len({tensor.shape[:1] for tensor in self.tensors}) != 1 or not self.tensors[0].ndim:
            raise CalibrationError(
                "The network's inputs have to hold equally many samples, along their first dimension; they are of "
                f"shape {_shapes(self.tensors)}."
            )

    @property
    def ndim(self) -> int:
        """0: several inputs together are no image."""
        return 0

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, chosen: slice | torch.Tensor) -> SeveralInputs:
        return self._each(lambda tensor: tensor[chosen])

    def split(self, size: int) -> tuple[SeveralInputs, ...]:
        """Neighbouring samples, ``size`` at a time."""
        return tuple(self[start : start + size] for start in range(0, len(self), size))

    def float(self) -> SeveralInputs:
        """Floating tensors in float32; the others as they are."""
        return self._each(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def to(self, device: torch.device) -> SeveralInputs:
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def named(self) -> dict[str, torch.Tensor]:
        """By forward's parameters; by number where they have no names."""
        return dict(zip(self.names or map(str, range(len(self.tensors))), self.tensors, strict=True))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> SeveralInputs:
        return SeveralInputs(tuple(map(change, self.tensors)), self.names)


Batch = torch.Tensor | SeveralInputs
"""Samples as a network takes them."""


def input_tensors(batch: Batch) -> tuple[torch.Tensor, ...]:
    """All tensors of a batch."""
    return (batch,) if isinstance(batch, torch.Tensor) else batch.tensors


def batch_of(given: tuple[Any, ...], named: Mapping[str, torch.Tensor]) -> Batch:
    """The batch that a function was called with: one, or tensors by position or by name."""
    if len(given) == 1 and not named:
        batch: Batch = given[0]
        return batch
    return SeveralInputs((*given, *named.values()), tuple(named) or None)


def call(model: Callable[..., Any], batch: Batch) -> Any:
    """Outputs of a network for a batch; sample by sample where the network fixes its batch to one."""
    if len(batch) > 1 and takes_one_sample(model):
        return _joined([call(model, batch[number : number + 1]) for number in range(len(batch))])
    if isinstance(batch, torch.Tensor):
        return model(batch)
    return model(*batch.tensors) if batch.names is None else model(**batch.named())


def takes_one_sample(model: Callable[..., Any]) -> bool:
    """Whether a network made from a file fixes its batch to one: graph modules say so in their ``meta``."""
    known = getattr(model, "meta", None)
    return isinstance(known, Mapping) and known.get("fixed_batch") == 1


def _joined(outputs: list[Any]) -> Any:
    """Outputs of single samples as those of a batch, in the same containers."""
    first = outputs[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(outputs) if first.ndim else torch.stack(outputs)
    if isinstance(first, Mapping):
        return {key: _joined([one[key] for one in outputs]) for key in first}
    if isinstance(first, list | tuple):
        return tuple(map(_joined, map(list, zip(*outputs, strict=True))))
    return first


def beside(model: nn.Module, batch: Batch) -> Batch:
    """A batch on the network's device."""
    tensor = next(chain(model.parameters(), model.buffers()), None)
    return batch if tensor is None else batch.to(tensor.device)


def described(batch: Batch) -> str:
    """Count, shape and type of the samples, for messages."""
    tensors = input_tensors(batch)
    shapes = " and ".join(str(tuple(tensor.shape[1:])) for tensor in tensors)
    kinds = " and ".join(dict.fromkeys(str(tensor.dtype) for tensor in tensors))
    return f"{len(batch)} samples of shape {shapes} and type {kinds}"


def example_of(batch: Batch) -> torch.Tensor | tuple[torch.Tensor, ...] | Mapping[str, torch.Tensor]:
    """A batch as plain containers: a tensor, a tuple by position, or a dict by name."""
    if isinstance(batch, torch.Tensor):
        return batch
    return batch.tensors if batch.names is None else batch.named()


def single(batch: Batch) -> torch.Tensor:
    """The only input of a network.

    Raises:
        CalibrationError: it has several.
    """
    tensors = input_tensors(batch)
    if len(tensors) > 1:
        raise CalibrationError(
            f"Whole channels are removed from networks of one input; this one has {len(tensors)}. Choose another "
            "structure than filter or channel."
        )
    return tensors[0]


def _shapes(tensors: tuple[torch.Tensor, ...]) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
