"""Removal of whole channels: groups of layers that share them, the choice, and the smaller network."""

from chita_edge.shrinking.budget import AtLeastOne, WeightsLeft
from chita_edge.shrinking.channel_group import ChannelGroup, Member
from chita_edge.shrinking.channels import read_channels, scale_channels, weight_masks, zero_channels
from chita_edge.shrinking.choose import ChannelChoice, choose_channels
from chita_edge.shrinking.errors import ShrinkingError
from chita_edge.shrinking.groups import channel_groups
from chita_edge.shrinking.remove import remove_channels
from chita_edge.shrinking.sensitivity import Side, channel_layers, channel_lengths
from chita_edge.shrinking.shrink import shrink

__all__ = [
    "AtLeastOne",
    "ChannelChoice",
    "ChannelGroup",
    "Member",
    "ShrinkingError",
    "Side",
    "WeightsLeft",
    "channel_groups",
    "channel_layers",
    "channel_lengths",
    "choose_channels",
    "read_channels",
    "remove_channels",
    "scale_channels",
    "shrink",
    "weight_masks",
    "zero_channels",
]
