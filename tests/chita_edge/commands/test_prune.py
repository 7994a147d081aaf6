"""`chita-edge prune` as a user meets it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run

from chita_edge.models import get_model


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    torch.manual_seed(0)
    torch.save(get_model("resnet20_cifar").architecture().state_dict(), tmp_path / "dense.pt")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (6, 32, 32, 3), np.uint8), rng.integers(0, 10, 6)
    np.savez(tmp_path / "data.npz", x_calib=x, y_calib=y, x_val=x, y_val=y)
    np.savez(tmp_path / "unjudged.npz", x=x, y=y)
    return ["--weights", "dense.pt", "--out", "sparse.pt"]


def test_json_tells_all_there_is(tmp_path: Path, files: list[str], chita_edge: Run) -> None:
    done = chita_edge(
        "prune", "resnet20_cifar", *files, "--data", "data.npz", "--method", "chita_bso", "--sparsity", "0.5",
        "--structure", "1x4", "--seed", "3", "--distill-epochs", "1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sparsity"] == pytest.approx(0.5, abs=0.001)
    assert (told["method"], told["structure"]) == ("chita_bso", "1x4")
    # Which of two nearly equal networks is closer is the processor's rounding; that the closer one is kept is not.
    (step,) = told["distillation"]
    assert step["kept"] == (step["divergence_after"] < step["divergence_before"])
    assert told["distilled_epochs"] == step["epochs"] * step["kept"] == int(step["kept"])
    assert {"gradients", "solve", "distill"} <= told["seconds"].keys()
    assert set(told["accuracy"]) == {"dense", "pruned"}
    assert isinstance(told["objective"], float)
    assert "distill: done" in done.stderr
    assert set(torch.load("sparse.pt", weights_only=True)) == set(torch.load("dense.pt", weights_only=True))


def test_a_pruned_network_moves_into_a_pattern(tmp_path: Path, files: list[str], chita_edge: Run) -> None:
    dense = torch.load("dense.pt", weights_only=True)
    pruned = {name: w * (w.abs() > 0.2 * w.std()) if w.ndim > 1 else w for name, w in dense.items()}
    torch.save(pruned, "sparse.pt")
    move = ["prune", "resnet20_cifar", "--weights", "dense.pt", "--data", "unjudged.npz", "--sparsity", "0.98"]
    move += ["--json", "--method", "chita_bso", "--structure", "2:4", "--start"]
    done = chita_edge(*move, "sparse.pt", "--out", "moved.pt")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["structure"], told["sparsity"]) == ("2:4", pytest.approx(0.98, abs=0.001))
    assert told["objective"] < told["trace"][0], "better than projecting by magnitude"
    moved = torch.load("moved.pt", weights_only=True)
    assert list(moved) == list(dense)
    for name in (layer["name"] for layer in told["layers"]):
        if moved[name].shape[1] % 4 == 0:
            assert int((moved[name] != 0).unflatten(1, (-1, 4)).sum(2).max()) <= 2, name
    for arguments, sentence in (
        (["nowhere.pt", "--out", "o.pt"], "nowhere.pt"),
        (["unjudged.npz", "--out", "o.pt"], "file unjudged.npz"),
        (["sparse.pt", "--out", "o.pt", "--resume", "state"], "leave out --resume"),
        (["sparse.pt", "--out", "o.pt", "--distill"], "Convert first"),
    ):
        refused = chita_edge(*move, *arguments)
        assert refused.returncode in (1, 2)
        assert sentence in refused.stderr
        assert "Traceback" not in refused.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "dense.pt", "sparse.pt", "moved.pt", "data.npz", "unjudged.npz",
    }  # fmt: skip


def test_unmeasured_accuracy_is_called_that(files: list[str], chita_edge: Run) -> None:
    done = chita_edge("prune", "resnet20_cifar", *files, "--data", "unjudged.npz", "--method", "magnitude")
    assert done.returncode == 0, done.stderr
    assert "Accuracy: not measured" in done.stdout
    assert "layer3.2.conv2.weight" in done.stdout


def test_options_come_from_a_file_too(tmp_path: Path, files: list[str], chita_edge: Run) -> None:
    (tmp_path / "prune.toml").write_text('[prune]\nmethod = "magnitude"\nsparsity = 0.6\nridge = -1\n')
    common = ["prune", "resnet20_cifar", *files, "--data", "data.npz", "--config", "prune.toml"]
    assert "Option 'prune.ridge' cannot be -1" in chita_edge(*common).stderr
    (tmp_path / "prune.toml").write_text('[prune]\nmethod = "magnitude"\nsparsity = 0.6\nrecalibration_views = 0\n')
    told = json.loads(chita_edge(*common, "--sparsity", "0.7", "--json").stdout)
    assert told["sparsity"] == pytest.approx(0.7, abs=1e-4)
    (tmp_path / "prune.toml").write_text("[prune]\nsparsty = 0.6\n")
    assert "There is no option 'prune.sparsty'" in chita_edge(*common, "--force").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["prune", "resnet20", "--out", "o.pt"], 2, "There is no model 'resnet20'"),
        (["prune", "resnet20_cifar"], 2, "Missing option '--out'"),
        (["prune", "resnet20_cifar", "--out", "o.pt"], 2, "needs --weights FILE"),
        (["prune", "resnet20_cifar", "--out", "o.pt", "--weights", "dense.pt"], 2, "needs --data SOURCE"),
        (["prune", "resnet20_cifar", "--out", "o.pt", "--sparsity", "1"], 2, "Option 'prune.sparsity' cannot be 1.0"),
        (["prune", "resnet20_cifar", "--out", "o.pt", "--method", "guess"], 2, "no pruning method 'guess'"),
        (
            ["prune", "resnet20_cifar", "--out", "o.pt", "--distill-epochs", "-1"],
            2,
            "distill_epochs' cannot be -1",
        ),
        (["prune", "resnet20_cifar", "--out", "nowhere/o.pt"], 2, "The folder of nowhere/o.pt does not exist"),
        (["prune", "resnet20_cifar", "--out", "dense.pt"], 2, "--force"),
        (
            ["prune", "resnet20_cifar", "--out", "o.pt", "--weights", "data.npz", "--data", "data.npz"],
            1,
            "file data.npz",
        ),
        (["prune", "resnet20_cifar", "--out", "o.pt", "--weights", "dense.pt", "--data", "dense.pt"], 1, "dense.pt"),
        (
            [
                "prune",
                "resnet20_cifar",
                "--out",
                "o.pt",
                "--weights",
                "dense.pt",
                "--data",
                "unjudged.npz",
                "--distill",
                "--resume",
                "dense.pt/x",
            ],
            2,
            "The folder dense.pt/x for unfinished work cannot be made: Not a directory",
        ),
        (["prune", "resnet50", "--out", "o.pt", "--weights", "dense.pt", "--data", "data.npz"], 1, "does not match"),
    ],
)
def test_what_can_go_wrong_is_a_sentence(
    tmp_path: Path, files: list[str], chita_edge: Run, arguments: list[str], code: int, sentence: str
) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    done = chita_edge(*arguments)
    assert sentence in done.stderr
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("failure", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "Interrupted; nothing was written."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "could not be written (No space left on device)"),
    ],
)
def test_an_end_before_the_end_leaves_no_file(
    tmp_path: Path,
    files: list[str],
    chita_edge: Run,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    code: int,
    sentence: str,
) -> None:
    def fail(descriptor: int) -> None:
        raise failure

    before = {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr(os, "fsync", fail)
    done = chita_edge("prune", "resnet20_cifar", *files, "--data", "unjudged.npz", "--method", "magnitude")
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == before


def test_interrupted_with_a_state_folder_it_says_how_to_go_on(
    files: list[str], chita_edge: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chita_edge.deploy.weights_file.prune_to_file", interrupt)
    done = chita_edge("prune", "resnet20_cifar", *files, "--data", "unjudged.npz", "--resume", "state")
    assert (done.returncode, done.stdout) == (130, "")
    assert "sparse.pt was not written. The same command goes on from what is in state." in done.stderr


def test_a_state_dict_of_another_dtype_is_a_sentence(chita_edge: Run) -> None:
    for options, sentence in (
        (["--dtype", "int8", "--out", "a.pt"], "call it a.onnx"),
        (["--dtype", "float16", "--out", "a.pt"], "export --dtype float16"),
        (["--dtype", "int8", "--out", "a.onnx", "--start", "b.pt"], "leave it out"),
        (["--dtype", "int4", "--out", "a.onnx"], "dtype"),
    ):
        done = chita_edge("prune", "mobilenet", *options)
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr
