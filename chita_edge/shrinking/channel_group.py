"""Channels that several layers share, and each layer's part in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

Role = Literal["writes", "carries", "reads"]


@dataclass(frozen=True, eq=False)
class Member:
    """A layer's part in a group.

    Attributes:
        layer: name of the module.
        role: ``writes``: these are its output channels; ``reads``: its input channels; ``carries``: both, one for one,
            as in a batch norm or a depthwise convolution.
        channels: int64 (m,), channels of the layer.
        of: int64 (m,), the channel of the group that each of them belongs to. Usually both are 0, 1, 2, …; a linear
            layer behind a flattened image reads each channel of the group at several places.
        norm: name of the batch norm that alone reads what this member writes, if there is one.
    """

    layer: str
    role: Role
    channels: torch.Tensor
    of: torch.Tensor
    norm: str | None = None


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that several layers share; to remove one of them, all members have to give it up.

    Attributes:
        name: of the first layer that writes it.
        size: number of channels.
        members: at least one that writes and one that reads.
    """

    name: str
    size: int
    members: tuple[Member, ...]

    def having(self, *roles: Role) -> Iterator[Member]:
        """The members with one of these roles."""
        return (member for member in self.members if member.role in roles)
