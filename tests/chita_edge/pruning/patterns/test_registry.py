from __future__ import annotations

import pytest

from chita_edge.pruning import UnknownNameError, get_pattern
from chita_edge.pruning.patterns import PATTERNS, NOfM


def test_names() -> None:
    assert all(get_pattern(name).name == name for name in PATTERNS)
    assert get_pattern("3:16") == NOfM(3, 16)


@pytest.mark.parametrize("name", ["round", "", "2:4:8", "a:4", "-1:4"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"no sparsity pattern '.*'; there are: unstructured, 2:4"):
        get_pattern(name)


@pytest.mark.parametrize("name", ["4:4", "5:4", "0:4", "3:17"])
def test_impossible_ratios(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"{name} is not possible"):
        get_pattern(name)
