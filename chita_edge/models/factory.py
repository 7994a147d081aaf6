"""A network that the user's own code makes: ``package.module:factory`` or ``path/file.py:factory``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from chita_edge.errors import UsageError
from chita_edge.user_code import named_object, names_code, telling

__all__ = ["load_factory", "names_code", "parse_arguments"]


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


def parse_arguments(texts: Iterable[str]) -> dict[str, Any]:
    """The arguments that ``--model-arg KEY=VALUE`` gives, typed as in TOML; a bare word is a string.

    Raises:
        UsageError: a text has no key, or a key is there twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise UsageError(f"--model-arg {text!r} has to be KEY=VALUE, such as width=0.5.")
        if key in found:
            raise UsageError(f"--model-arg gives {key!r} twice.")
        try:
            parsed = tomllib.loads(f"value = {value.strip()}")
        except tomllib.TOMLDecodeError:
            parsed = {"value": value.strip()}
        if list(parsed) != ["value"]:  # a line break within the text began another key
            parsed = {"value": value.strip()}
        found[key] = parsed["value"]
    return found
