"""Networks that a user's own code makes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from chita_edge.errors import UsageError
from chita_edge.models.factory import load_factory
from chita_edge.user_code import names_code

CODE = """
from dataclasses import dataclass
from torch import nn
from beside_it import WIDTH

class Net(nn.Module):
    def __init__(self, width: int = WIDTH, bias: bool = True):
        super().__init__()
        self.layer = nn.Linear(width, 2, bias=bias)

    def forward(self, x):
        return self.layer(x)

def make(width=WIDTH, bias=True):
    return Net(width, bias)

class Zoo:
    made = Net(5)

def wrong():
    return 3

def fails():
    raise KeyError("weights.bin")

number = 4
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside_it.py").write_text("WIDTH = 7\n")
    path = tmp_path / "my_nets.py"
    path.write_text(CODE)
    yield path
    for name in ("my_nets", "beside_it", "broken", "ends"):
        sys.modules.pop(name, None)


def test_a_function_a_class_and_a_network_of_a_file(file: Path) -> None:
    for name, arguments, width in (("make", {"width": 3}, 3), ("Net", {}, 7), ("Zoo.made", {}, 5)):
        network = load_factory(f"{file}:{name}", arguments)
        assert network(torch.zeros(1, width)).shape == (1, 2)
    assert load_factory(f"{file}:make", {"bias": False}).layer.bias is None  # type: ignore[union-attr]


def test_a_module_of_the_current_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    before = list(sys.path)
    assert isinstance(load_factory("my_nets:make"), nn.Module)
    assert sys.path == before


def test_a_module_that_is_installed() -> None:
    assert isinstance(load_factory("torch.nn:Linear", {"in_features": 2, "out_features": 3}), nn.Linear)


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("make", {"wdith": 3}, "make of .* failed with TypeError: .*wdith"),
        ("wrong", {}, "returned int; it has to return a torch.nn.Module"),
        ("fails", {}, r"failed with KeyError: 'weights.bin' \(.*my_nets.py, line 24\)"),
        ("number", {}, "is of type int"),
        ("nothing", {}, "There is no 'nothing' in"),
        ("Zoo.made", {"width": 1}, "takes no arguments"),
    ],
)
def test_what_goes_wrong_is_a_sentence(file: Path, name: str, arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_factory(f"{file}:{name}", arguments)


def test_code_that_does_not_even_run(tmp_path: Path) -> None:
    for name, text, sentence in (
        ("broken", "def f(:\n", r"SyntaxError: .*\(.*broken.py, line 1\)"),
        ("ends", "raise SystemExit(3)\n", "SystemExit: 3"),
    ):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        with pytest.raises(UsageError, match=sentence):
            load_factory(f"{path}:make")
        assert name not in sys.modules
    with pytest.raises(UsageError, match="There is no file"):
        load_factory(f"{tmp_path}/none.py:make")
    with pytest.raises(UsageError, match=r"There is no module 'no_such_package\.nets'"):
        load_factory("no_such_package.nets:make")


@pytest.mark.parametrize(
    ("text", "is_code"),
    [("a.b:f", True), ("x/y.py:N.f", True), ("mobilenet", False), ("net.onnx", False), (":f", False), ("a:", False)],
)
def test_which_texts_name_code(text: str, is_code: bool) -> None:
    assert names_code(text) is is_code
