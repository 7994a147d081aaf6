"""Whole channels: which layers share them, and networks without them."""

from chita_edge.shrinking.channels import read_channels, zero_channels
from chita_edge.shrinking.errors import ShrinkingError
from chita_edge.shrinking.groups import ChannelGroup, Member, channel_groups
from chita_edge.shrinking.shrink import remove_channels, shrink

__all__ = [
    "ChannelGroup",
    "Member",
    "ShrinkingError",
    "channel_groups",
    "read_channels",
    "remove_channels",
    "shrink",
    "zero_channels",
]
