"""The Python of docs/networks.md runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def test_its_python_prunes_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), found)
    assert list(found["result"].masks) == ["3.weight", "5.weight"]
    assert found["result"].figures.sparsity == pytest.approx(0.8, abs=0.01)
