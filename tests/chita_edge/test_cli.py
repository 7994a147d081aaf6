"""The command line as a user meets it: its output streams and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run


def test_the_installed_program_ends_with_the_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from chita_edge.cli import main; main()", "models", "--jsn"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "No such option" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["build", "mobilnet", "--target", "arm64"], "There is no model 'mobilnet'"),
        (["build", "mobilenet", "--target", "arm65"], "there is no target 'arm65'; there are arm64, x86_64"),
        (["build", "mobilenet"], "Option 'export.target' is missing: give --target"),
        (["build", "mobilenet", "--target", "arm64", "--sparsty", "1"], "No such option"),
        (["build", "mobilenet", "--target", "arm64", "--sparsity", "1"], "Option 'prune.sparsity' cannot be 1.0"),
        (["build", "mobilenet", "--target", "arm64", "--sparsity", "-0.5"], "Option 'prune.sparsity' cannot be -0.5"),
        (["build", "mobilenet", "--target", "arm64", "--sparsity", "nan"], "Option 'prune.sparsity' cannot be nan"),
        (["build", "mobilenet", "--target", "arm64", "--sparsity", "half"], "is not a valid float"),
        (["build", "mobilenet", "--target", "arm64", "--method", "guess"], "no pruning method 'guess'"),
        (["build", "mobilenet", "--target", "arm64", "--structure", "3D"], "'3D'"),
        (["build", "mobilenet", "--target", "arm64", "--config", "none.toml"], "cannot be read"),
        (["build", "mobilenet", "--target", "arm64", "--calibration-images", "5000"], "2000 calibration images"),
        (["build", "mobilenet_v1", "--target", "arm64"], "it needs --weights FILE"),
        (["bild"], "No such command 'bild'"),
    ],
)
def test_what_a_user_can_mistype_is_exit_code_2(
    arguments: list[str], sentence: str, tmp_path: Path, chita_edge: Run
) -> None:
    done = chita_edge(*arguments)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path, chita_edge: Run) -> None:
    precious = tmp_path / "mobilenet-arm64" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    for force in ([], ["--force"]):
        done = chita_edge("build", "mobilenet", "--target", "arm64", *force)
        assert done.returncode == 2
        assert "mobilenet-arm64" in done.stderr
        assert precious.read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"\x80\x05garbage", b"PK\x03\x04"])
def test_weights_that_are_none_leave_nothing(content: bytes, tmp_path: Path, chita_edge: Run) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(content)
    done = chita_edge("build", "mobilenet", "--target", "arm64", "--weights", "weights.pt")
    assert done.returncode == 1
    assert "weights.pt" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [weights]


def test_models_lists_the_embedded_one(tmp_path: Path, chita_edge: Run) -> None:
    rows = json.loads(chita_edge("models", "--json").stdout)
    assert next(row for row in rows if row["name"] == "mobilenet")["embedded_weights"] is True
    assert "mobilenet" in chita_edge("models").stdout


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x08\x0a" * 50])
def test_inspect_refuses_what_is_no_model(content: bytes, tmp_path: Path, chita_edge: Run) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    done = chita_edge("inspect", "model.onnx")
    assert done.returncode == 1
    assert "model.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_verify_of_no_bundle_is_a_sentence(tmp_path: Path, chita_edge: Run) -> None:
    done = chita_edge("verify", "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_come_from_the_command_line_then_the_environment_then_the_file(tmp_path: Path, chita_edge: Run) -> None:
    (tmp_path / "build.toml").write_text('[prune]\nsparsity = 2.0\nmethod = "from-file"\n')
    common = ["build", "mobilenet", "--target", "arm64", "--config", "build.toml"]
    in_file = chita_edge(*common)
    assert "'prune.sparsity' cannot be 2.0" in in_file.stderr
    in_environment = chita_edge(*common, CHITA_EDGE_BUILD_SPARSITY="3.0")
    assert "'prune.sparsity' cannot be 3.0" in in_environment.stderr
    on_line = chita_edge(*common, "--sparsity", "4.0", CHITA_EDGE_BUILD_SPARSITY="3.0")
    assert "'prune.sparsity' cannot be 4.0" in on_line.stderr
    assert "'from-file'" in chita_edge(*common, "--sparsity", "0.5").stderr


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path, chita_edge: Run) -> None:
    (tmp_path / "build.toml").write_text("[prune]\nsparsty = 0.5\n")
    done = chita_edge("build", "mobilenet", "--target", "arm64", "--config", "build.toml")
    assert done.returncode == 2
    assert "no option 'prune.sparsty'" in done.stderr
