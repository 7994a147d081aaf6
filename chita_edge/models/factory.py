"""A network that the user's own code makes: ``package.module:factory`` or ``path/file.py:factory``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from chita_edge.errors import UsageError
from chita_edge.user_code import named_object, telling


def load_factory(text: str, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """Import what ``text`` names, call it with ``arguments`` unless it is a module itself, and return the network.

    This runs the code that it names, with the rights of the user; nothing else of ours does.

    Args:
        text: ``package.module:factory``, looked for in the current folder too, or ``path/file.py:factory``.
        arguments: by keyword.

    Raises:
        UsageError: there is no such module, file or name; the code fails; or it returns something else.
    """
    where, _, name = text.rpartition(":")
    made = named_object(text, "a network, or what makes one")
    given = dict(arguments or {})
    if isinstance(made, nn.Module):
        if given:
            raise UsageError(f"{text!r} is a network already and takes no arguments; leave out --model-arg.")
        return made
    if not callable(made):
        raise UsageError(f"{text!r} is of type {type(made).__name__}; it has to be a network, or a function of one.")
    with telling(f"{name} of {where}"):
        network = made(**given)
    if not isinstance(network, nn.Module):
        raise UsageError(f"{text!r} returned {type(network).__name__}; it has to return a torch.nn.Module.")
    return network
