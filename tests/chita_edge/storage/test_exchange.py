from __future__ import annotations

from pathlib import Path

import pytest

from chita_edge.storage.exchange import exchange


def test_exchange_gives_each_name_the_others_folder(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "was").write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system or disk exchanges no names")
    assert [(tmp_path / name / "was").read_text() for name in "ab"] == ["b", "a"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")
