"""Programs of torch.export, plain and hostile."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from chita_edge.models.checkpoints import WeightsError
from chita_edge.models.program import ProgramInput, load_program

MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        z = torch.relu(self.conv(x))
        return {"classes": self.linear(z.reshape(z.shape[0], 8, -1).mean(2) + y), "map": z}


@pytest.fixture(scope="module")
def network() -> TwoInputs:
    torch.manual_seed(0)
    return TwoInputs().eval()


@pytest.fixture(scope="module")
def data(network: TwoInputs) -> bytes:
    batch, height, width = (torch.export.Dim(name) for name in ("batch", "height", "width"))
    shapes = ({0: batch, 2: height, 3: width}, {0: batch})
    program = torch.export.export(network, (torch.randn(2, 3, 8, 6), torch.randn(2, 8)), dynamic_shapes=shapes)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


@pytest.fixture
def changed(data: bytes, tmp_path: Path) -> Callable[..., Path]:
    """The file with one of its JSON documents, or entries, changed."""

    def change(entry: str, edit: Callable[[Any], Any] | None = None, more: dict[str, bytes] | None = None) -> Path:
        path = tmp_path / "changed.pt2"
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(path, "w") as new:
            for info in old.infolist():
                content = old.read(info)
                if edit is not None and info.filename.endswith(entry):
                    document = json.loads(content)
                    content = json.dumps(edit(document) or document).encode()
                new.writestr(info.filename, content)
            for name, content in (more or {}).items():
                new.writestr(name, content)
        return path

    return change


def test_a_program_computes_what_the_network_does(network: TwoInputs, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(data)
    program = load_program(path)
    x, y = torch.randn(5, 3, 12, 10), torch.randn(5, 8)
    expected, got = network(x, y), program.module(x, y)
    assert set(got) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value)
    assert [name for name, _ in program.module.named_parameters()] == [name for name, _ in network.named_parameters()]
    first, second = program.inputs
    assert (first.name, first.shape[1], first.dtype) == ("x", 3, torch.float32)
    assert all(isinstance(first.shape[place], str) for place in (0, 2, 3))
    assert second == ProgramInput("y", (first.shape[0], 8), torch.float32)


def _target(document: Any) -> None:
    document["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


def _from_file(document: Any) -> None:
    document["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def _name(document: Any) -> None:
    document["graph_module"]["graph"]["nodes"][0]["name"] = "x\nimport os"


def _expression(document: Any) -> None:
    text = json.dumps(document).replace("Symbol('", "__import__('os').system('true') or Symbol('")
    document.clear()
    document.update(json.loads(text))


def _tree(document: Any) -> None:
    signature = document["graph_module"]["module_call_graph"][0]["signature"]
    signature["in_spec"] = signature["in_spec"].replace("builtins.dict", "collections.defaultdict")


def _weights(document: Any) -> None:
    next(iter(document["config"].values()))["use_pickle"] = True


def _fields(document: Any) -> None:
    document["graph_module"]["treespec_namedtuple_fields"] = {"os": {"field_names": ["a"]}}


@pytest.mark.parametrize(
    ("entry", "edit", "sentence"),
    [
        (MODEL, _target, "calls 'torch.os.system'"),
        (MODEL, _from_file, "calls 'torch.ops.aten.from_file.default'"),
        (MODEL, _name, "holds the name"),
        (MODEL, _expression, "holds the expression"),
        (MODEL, _tree, "containers other than lists"),
        (MODEL, _fields, "named tuples"),
        (WEIGHTS, _weights, "pickled object"),
    ],
)
def test_what_could_run_code_is_refused(
    changed: Callable[..., Path], entry: str, edit: Callable[[Any], None], sentence: str
) -> None:
    with pytest.raises(WeightsError, match=sentence):
        load_program(changed(entry, edit))


def test_guards_are_not_run(changed: Callable[..., Path], tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def guards(document: Any) -> None:
        document["guards_code"] = [f"open({str(mark)!r}, 'w').close() or True"]

    module = load_program(changed(MODEL, guards)).module
    module(torch.randn(2, 3, 4, 4), torch.randn(2, 8))
    assert not mark.exists()


def test_files_that_are_no_program(data: bytes, changed: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with pytest.raises(WeightsError, match="cannot be read"):
        load_program(path)
    for content, sentence in (
        (b"", "damaged or no file"),
        (data[: len(data) // 2], "damaged or no file"),
        (pickle.dumps(print), "damaged or no file"),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=sentence):
            load_program(path)
    with pytest.raises(WeightsError, match="which no plain program does"):
        load_program(changed("", None, {"archive/data/aotinductor/model/m.so": b"code"}))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/models/model.json", b" " * 30_000_000)
    with pytest.raises(WeightsError, match="would unpack"):
        load_program(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="holds no program"):
        load_program(path)
