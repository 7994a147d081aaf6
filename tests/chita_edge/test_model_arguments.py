"""Arguments of a network's function from the command line."""

from __future__ import annotations

from datetime import date

import pytest

from chita_edge.errors import UsageError
from chita_edge.model_arguments import parse_arguments


def test_arguments_are_typed_as_in_toml() -> None:
    given = [
        "width=0.5",
        "layers=3",
        "head=false",
        'name="a b"',
        "sizes=[1, 2]",
        "kind=small",
        "since=2026-01-02",
        "e=",
    ]
    assert parse_arguments(given) == {
        "width": 0.5,
        "layers": 3,
        "head": False,
        "name": "a b",
        "sizes": [1, 2],
        "kind": "small",
        "since": date(2026, 1, 2),
        "e": "",
    }
    assert parse_arguments(["a=1\nb=2"]) == {"a": "1\nb=2"}
    for wrong in (["width"], ["=3"], ["a b=3"], ["a=1", "a=2"]):
        with pytest.raises(UsageError):
            parse_arguments(wrong)
