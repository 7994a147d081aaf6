import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import exporters
from chita_edge.report.inspect_table import inspection_json, print_inspection


@pytest.fixture
def report(tmp_path: Path) -> exporters.FileReport:
    weight = np.zeros((4, 2), np.float32)
    weight[0, 0] = 1
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w"], ["y"], name="fc[red]\x1b[31m", transB=1),
            helper.make_node("Relu", ["y"], ["z"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    )
    onnx.checker.check_model(str(path))
    return exporters.inspect(path)


def test_layers_and_totals_are_printed_and_a_files_names_cannot_paint(
    report: exporters.FileReport, capsys: pytest.CaptureFixture[str]
) -> None:
    print_inspection(report)
    printed = capsys.readouterr().out
    assert "fc[red]?[31m" in printed
    assert "\x1b" not in printed
    assert "1 of 8 weights are not zero (87.5% sparsity)" in printed
    assert "1 Relu" in printed


def test_the_object_can_be_written_as_json(report: exporters.FileReport) -> None:
    printed = json.loads(json.dumps(inspection_json(report)))
    assert printed["weights"] == 8
    assert printed["nnz"] == 1
    assert printed["layers"][0]["shape"] == [4, 2]
