from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chita_edge.engine.methods import METHODS, methods_of
from chita_edge.pruning import SOLVERS, UnknownNameError, get_solver, solvers
from chita_edge.pruning.solvers.registry import discover

MODULE = """
from dataclasses import dataclass

from chita_edge.pruning.solvers.magnitude import Magnitude


@dataclass(frozen=True)
class Smallest(Magnitude):
    name: str = "smallest"
    summary = "one module"
"""


def test_each_is_found_under_its_own_name() -> None:
    assert {"chita", "chita_bso", "magnitude", "obs"} <= set(SOLVERS)
    assert all(get_solver(name).name == name for name in SOLVERS)


def test_an_oracle_is_no_choice() -> None:
    assert not [name for name in SOLVERS if name.endswith("reference")]


def test_an_unknown_one() -> None:
    with pytest.raises(UnknownNameError, match=r"There is no solver 'best'; there are: .*chita_bso"):
        get_solver("best")


def test_a_module_is_all_that_a_solver_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found without a line anywhere else, and a method of the command line."""
    (tmp_path / "smallest.py").write_text(MODULE)
    monkeypatch.setattr(solvers, "__path__", [*solvers.__path__, str(tmp_path)])
    try:
        found = discover(solvers.__path__)
    finally:
        sys.modules.pop(f"{solvers.__name__}.smallest", None)
    assert set(found) == {*SOLVERS, "smallest"}
    assert {name: method.summary for name, method in methods_of(found.items()).items()} == {"smallest": "one module"}
    assert "smallest" not in METHODS
