"""Solvers by name: every module of this folder that holds a solver is found, so that a solver is one module."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, cast

from chita_edge.pruning.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chita_edge.pruning.solvers.solver import Solver

_PACKAGE = __name__.rpartition(".")[0]


def discover(folders: Iterable[str]) -> dict[str, Callable[[], Solver]]:
    """Solvers of the modules in the package's ``folders``, in the order of their names.

    A solver is a class with a ``solve`` method and a default ``name`` (see `chita_edge.pruning.solvers.solver`).
    Modules called ``…_reference`` hold oracles for tests and are left out.
    """
    found: dict[str, Callable[[], Solver]] = {}
    for module in pkgutil.iter_modules(folders):
        if f"{_PACKAGE}.{module.name}" == __name__ or module.name.endswith("_reference"):
            continue
        home = import_module(f"{_PACKAGE}.{module.name}")
        for kind in vars(home).values():
            if inspect.isclass(kind) and kind.__module__ == home.__name__ and hasattr(kind, "solve"):
                name = getattr(kind, "name", None)
                if isinstance(name, str):
                    found[name] = cast("Callable[[], Solver]", kind)
    return dict(sorted(found.items()))


SOLVERS: dict[str, Callable[[], Solver]] = discover(import_module(_PACKAGE).__path__)


def get_solver(name: str) -> Solver:
    """The solver called ``name``, with its defaults.

    Raises:
        UnknownNameError: there is none; the message lists those there are.

    """
    if name not in SOLVERS:
        raise UnknownNameError(f"There is no solver {name!r}; there are: {', '.join(SOLVERS)}.")
    return SOLVERS[name]()
