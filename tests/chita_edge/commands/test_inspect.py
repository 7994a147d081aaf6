import json
from pathlib import Path

import numpy as np
import sparse_models
from command_line import Run


def test_layers_and_totals_as_a_table_and_as_an_object(tmp_path: Path, chita_edge: Run) -> None:
    weight = np.zeros((4, 8, 1, 1), np.float32)
    weight[:, :2] = 1.0
    layer = sparse_models.layer("CsrConv", weight, np.zeros(4, np.float32), [1, 8, 2, 2])
    (tmp_path / "model.onnx").write_bytes(layer)
    done = chita_edge("inspect", "model.onnx")
    assert done.returncode == 0, done.stderr
    assert "CsrConv" in done.stdout
    report = json.loads(chita_edge("inspect", "model.onnx", "--json").stdout)
    assert report["nnz"] == 8
    assert report["sparsity"] == 0.75
