"""A network that the user's own code makes: ``package.module:factory`` or ``path/file.py:factory``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from chita_edge.errors import UsageError


def names_code(text: str) -> bool:
    """Whether a text has the form ``module:name`` or ``file.py:name``."""
    where, colon, name = text.rpartition(":")
    return bool(colon and where) and all(part.isidentifier() for part in name.split("."))


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
    module = _module(where)
    made: Any = module
    for part in name.split("."):
        if not hasattr(made, part):
            raise UsageError(f"There is no {part!r} in {where}; {text!r} has to name a network, or what makes one.")
        made = getattr(made, part)
    given = dict(arguments or {})
    if isinstance(made, nn.Module):
        if given:
            raise UsageError(f"{text!r} is a network already and takes no arguments; leave out --model-arg.")
        return made
    if not callable(made):
        raise UsageError(f"{text!r} is of type {type(made).__name__}; it has to be a network, or a function of one.")
    with _telling(f"{name} of {where}"):
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


def _module(where: str) -> ModuleType:
    path = Path(where)
    if path.suffix == ".py" or "/" in where:
        return _from_file(path)
    if not all(part.isidentifier() for part in where.split(".")):
        raise UsageError(f"{where!r} is no module; name package.module:factory or path/file.py:factory.")
    with _first_on_path(Path.cwd()), _telling(where):
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            if error.name is None or not (where == error.name or where.startswith(f"{error.name}.")):
                raise
            raise UsageError(
                f"There is no module {where!r} in this folder or this Python ({sys.executable}); "
                "install it, or name path/file.py:factory."
            ) from None


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"There is no file {path}; name path/file.py:factory.")
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file; name path/file.py:factory.")
    module = importlib.util.module_from_spec(spec)
    known = sys.modules.get(name)
    sys.modules[name] = module  # classes of the file find their module while it runs
    try:
        with _first_on_path(path.resolve().parent), _telling(str(path)):
            spec.loader.exec_module(module)
    except BaseException:
        if known is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = known
        raise
    return module


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one sentence with its place."""
    try:
        yield
    except (UsageError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        if isinstance(error, SyntaxError) and error.filename:
            place = f" ({error.filename}, line {error.lineno})"
        text = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
        raise UsageError(f"{what} failed with {type(error).__name__}: {text}{place}.") from error
