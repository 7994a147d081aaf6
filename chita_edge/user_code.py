"""Objects that the user's own code holds: ``package.module:name`` or ``path/file.py:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from chita_edge.errors import UsageError


def names_code(text: str) -> bool:
    """Whether a text has the form ``module:name`` or ``file.py:name``."""
    where, colon, name = text.rpartition(":")
    return bool(colon and where) and all(part.isidentifier() for part in name.split("."))


def named_object(text: str, what: str) -> Any:
    """Import what ``text`` names; nothing of it is called.

    This runs the module that it names, with the rights of the user.

    Args:
        text: ``package.module:name``, looked for in the current folder too, or ``path/file.py:name``.
        what: it has to name, for messages, such as "a network".

    Raises:
        UsageError: there is no such module, file or name, or its code fails.
    """
    where, _, name = text.rpartition(":")
    found: Any = _module(where)
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"There is no {part!r} in {where}; {text!r} has to name {what}.")
        found = getattr(found, part)
    return found


def _module(where: str) -> ModuleType:
    path = Path(where)
    if path.suffix == ".py" or "/" in where:
        return _from_file(path)
    if not all(part.isidentifier() for part in where.split(".")):
        raise UsageError(f"{where!r} is no module; name package.module:factory or path/file.py:factory.")
    with _first_on_path(Path.cwd()), telling(where):
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
        with _first_on_path(path.resolve().parent), telling(str(path)):
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
def telling(what: str) -> Iterator[None]:
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
