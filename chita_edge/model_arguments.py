"""Arguments of the function that makes a network, from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from chita_edge.errors import UsageError


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
