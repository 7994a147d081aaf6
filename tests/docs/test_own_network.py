"""The commands and the Python of docs/own-network.md run."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import own_networks
import pytest
import torch

from chita_edge.cli import cli

PAGE = Path(__file__).parents[2] / "docs" / "own-network.md"
# Fewer samples of the latency, and one network instead of many candidates: the page's defaults take minutes.
SHORTER = {
    "build": ["--samples", "50", "--method", "magnitude", "--sparsity", "0.8"],
    "prune": ["--method", "magnitude"],
    "bench": ["--samples", "50"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    code, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    Path("own_network.py").write_text(code)
    found: dict[str, Any] = {}
    exec(compile(code, "own_network.py", "exec"), found)
    torch.manual_seed(0)
    torch.save(found["Net"]().state_dict(), "own_network.pt")
    onnx.save(own_networks.as_onnx(), "network.onnx")
    own_networks.as_program(Path("program.pt2"))
    np.savez("samples.npz", x=np.random.default_rng(0).standard_normal((40, 3, 16, 16)).astype(np.float32))
    return tmp_path


def test_its_commands_do_what_it_says(folder: Path) -> None:
    commands = [shlex.split(line) for line in re.findall(r"^    (chita-edge .+)$", PAGE.read_text(), re.MULTILINE)]
    verbs = ["build", "build", "prune", "export", "bench", "inspect", "report", "export"]
    assert [words[1] for words in commands] == verbs
    for words in commands:
        more = ["--input", "image=1x3x16x16"] if words[2] == "program.pt2" else []
        force = [] if words[1] in ("bench", "inspect") else ["--force"]
        cli.main([*words[1:], *SHORTER.get(words[1], []), *more, *force], standalone_mode=False)
    sys.modules.pop("own_network", None)
    assert {path.name for path in folder.iterdir()} >= {"Net-x86_64", "network-x86_64", "sparse.onnx", "model.onnx"}
    assert (folder / "network-x86_64" / "report.html").exists()


def test_its_python_runs(folder: Path) -> None:
    del folder
    _, code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Any] = {"samples": torch.randn(30, 3, 16, 16)}
    exec(compile(code, str(PAGE), "exec"), found)
    assert found["pruned"].figures.sparsity == pytest.approx(0.8, abs=0.01)
    assert [layer.name for layer in found["made"].layers] == ["c1", "c2", "p"]
