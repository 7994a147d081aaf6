import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Run
from onnx import parser

import exporters
import runtimes

NETWORK = """
<ir_version: 10, opset_import: ["" : 18]>
network (float[n, 128, 14, 14] x) => (float[n, 128, 14, 14] y)
<float[n, 128, 14, 14] c, float[n, 128, 14, 14] r> { c = Conv (x, w0)  r = Relu (c)  y = Conv (r, w1) }
"""


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A file as another tool may have written it, nineteen of twenty weights zero."""
    rng = np.random.default_rng(0)
    model = parser.parse_model(NETWORK)
    for name in ("w0", "w1"):
        weight = rng.standard_normal((128, 128, 1, 1), np.float32) * (rng.random((128, 128, 1, 1)) < 0.05)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight.astype(np.float32), name))
    (tmp_path / "dense.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "dense.onnx"


def test_a_file_of_another_tool_becomes_the_one_file(dense: Path, chita_edge: Run) -> None:
    done = chita_edge("export", "dense.onnx", "--target", "x86_64", "--out", "model.onnx")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 layers are sparse. Written: model.onnx" in done.stdout
    path = dense.with_name("model.onnx")
    x = np.random.default_rng(1).standard_normal((2, 128, 14, 14), np.float32)
    (expected,) = runtimes.dense_session(dense).run(None, {"x": x})
    (answers,) = runtimes.session(path).run(None, {"x": x})
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-4)
    again = chita_edge("export", "dense.onnx", "--target", "x86_64", "--out", "model.onnx", "--force", "--json")
    told = json.loads(again.stdout)
    assert (told["file"], told["bytes"]) == ("model.onnx", path.stat().st_size)
    assert [layer["format"] for layer in told["layers"]] == ["csr", "csr"]
    assert exporters.load(path)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["none.onnx", "--target", "arm64", "--out", "new.onnx"], 1, "none.onnx"),
        (["dense.onnx", "--target", "z80", "--out", "new.onnx"], 2, "no target 'z80'"),
        (["dense.onnx", "--target", "arm64"], 2, "Missing option '--out'"),
        (["dense.onnx", "--target", "arm64", "--out", "dense.onnx"], 2, "use --force"),
        (["dense.onnx", "--target", "arm64", "--out", "no/new.onnx"], 2, "does not exist"),
        (["dense.onnx", "--target", "arm64", "--out", "new.onnx", "--values", "int3"], 2, "Option 'values'"),
        (["dense.onnx", "--target", "arm64", "--out", "new.onnx", "--arithmetic", "float16"], 2, "float16"),
    ],
)
def test_what_can_be_mistyped(arguments: list[str], code: int, sentence: str, dense: Path, chita_edge: Run) -> None:
    before = dense.read_bytes()
    done = chita_edge("export", *arguments)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert dense.read_bytes() == before
    assert list(dense.parent.iterdir()) == [dense]
