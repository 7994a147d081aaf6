"""Hostile QSequence nodes: every rule that is broken is told in a sentence of the reader's."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from q_attacks import CASES, Edit, good

from exporters import LoadError, inspect, load


def test_the_good_one_is_let_in(tmp_path: Path) -> None:
    onnx.save(good(), tmp_path / "model.onnx")
    load(tmp_path / "model.onnx")
    assert [layer.format for layer in inspect(tmp_path / "model.onnx").layers] == [
        "1x4", "2x4", "depthwise", "dense", "dense", "1x4",
    ]  # fmt: skip


@pytest.mark.parametrize(("edit", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_broken_rule_is_told(edit: Edit, words: str, tmp_path: Path) -> None:
    model = good()
    edit(model)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(LoadError, match=words) as caught:
        load(tmp_path / "model.onnx", needs_bodies=False)
    assert "model.onnx" in str(caught.value)


def test_a_body_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    model = good()
    model.functions[0].node[0].op_type = "DequantizeLinear"
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(LoadError, match="is not the one this version writes"):
        load(tmp_path / "model.onnx")
