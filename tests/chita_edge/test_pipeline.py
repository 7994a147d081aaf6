"""The main job as a whole, with the real network, kernels and runtimes, on few calibration images."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from functools import partialmethod
from pathlib import Path
from typing import Any

import onnx
import pytest

import chita_edge
import device_bench
import exporters
import runtimes
from chita_edge import pipeline
from chita_edge.bundle import verify_bundle
from chita_edge.config import BuildConfig
from chita_edge.datasets import Dataset
from chita_edge.errors import BundleTamperedError
from chita_edge.progress import Progress

RUN = [sys.executable, "-c", "from chita_edge.cli import main; main()"]
BUILD = ["build", "mobilenet", "--target", "arm64", "--calibration-images", "40"]
CONFIG = BuildConfig(model="mobilenet", target="arm64", calibration_images=40, samples=50)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A bundle from the command line, the object that it printed, and what it said meanwhile."""
    folder = tmp_path_factory.mktemp("build")
    command = [*RUN, *BUILD, "--samples", "50", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "mobilenet-arm64", json.loads(done.stdout), done.stderr


def test_the_object_has_what_a_script_needs(built: tuple[Path, dict[str, Any], str]) -> None:
    bundle, printed, _ = built
    assert Path(printed["bundle"]) == bundle
    assert abs(printed["sparsity"] - 0.8) < 1e-4
    assert 0 < printed["accuracy"]["sparse"] <= 1
    assert printed["accuracy"]["dense"] >= 0.93
    assert printed["size_bytes"]["dense"] == (bundle / "model.dense.onnx").stat().st_size
    assert printed["size_bytes"]["sparse"] == (bundle / "model.onnx").stat().st_size
    assert printed["size_bytes"]["sparse"] * 3 <= printed["size_bytes"]["dense"]
    assert printed["latency_ms"]["dense"] > 0
    assert printed["latency_ms"]["sparse"] > 0
    low, high = printed["speedup_interval"]
    assert low <= printed["speedup"] <= high
    assert printed["device"] == "local"
    assert all(difference <= 1e-4 for difference in printed["agreement"].values())
    assert len(printed["agreement"]) == 3
    assert any("latency on arm64" in sentence for sentence in printed["not_measured"])


def test_each_layer_is_decided_for_a_reason(built: tuple[Path, dict[str, Any], str]) -> None:
    _, printed, _ = built
    layers = printed["layers"]
    assert len(layers) == 28
    assert all(layer["reason"] for layer in layers)
    assert {layer["format"] for layer in layers} >= {"csr", "depthwise", "dense"}
    assert sum(layer["macs"]["sparse"] for layer in layers) < sum(layer["macs"]["dense"] for layer in layers)


def test_the_report_has_a_time_for_every_layer(built: tuple[Path, dict[str, Any], str]) -> None:
    bundle, printed, _ = built
    times = re.findall(r'data-name="ms">([^<]*)', (bundle / "report.html").read_text())
    assert len(times) == len(printed["layers"]) + 1  # and one for all other nodes
    names = "|".join(re.escape(layer["name"]) for layer in printed["layers"])
    assert all(re.fullmatch(rf"\d+\.\d{{3}} → \d+\.\d{{3}}|with ({names})", time) for time in times), times


def test_the_bundle_is_whole_and_holds_the_arm64_library_twice(built: tuple[Path, dict[str, Any], str]) -> None:
    bundle, _, _ = built
    manifest = verify_bundle(bundle)
    libraries = [path for path in manifest.files if path.endswith(".so")]
    assert sorted(libraries) == ["lib/android/arm64-v8a/libchita_edge.so", "lib/linux/aarch64/libchita_edge.so"]
    digest = hashlib.sha256(runtimes.library("linux-aarch64").read_bytes()).hexdigest()
    assert all(manifest.files[path].sha256 == digest for path in libraries)
    samples = json.loads((bundle / "bench" / "local.json").read_text())
    assert samples["context"]["schema_version"]
    assert {b["name"]: len(b["samples"]) for b in samples["benchmarks"]} == {"dense": 50, "sparse": 50}


def test_the_file_is_standard_and_opens_without_the_library(built: tuple[Path, dict[str, Any], str]) -> None:
    bundle, _, _ = built
    model = exporters.load(bundle / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert runtimes.dense_session(bundle / "model.onnx").get_outputs()[0].name == "logits"


def test_the_same_seed_gives_the_same_bytes(
    built: tuple[Path, dict[str, Any], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the same bytes have the same accuracy, so that judging both again on 10,000 images would say nothing."""
    bundle, printed, _ = built
    known = iter(printed["accuracy"][which] for which in ("dense", "sparse"))
    monkeypatch.setattr(pipeline, "accuracy", lambda *_: next(known))
    again = chita_edge.build(CONFIG, tmp_path / "another name").bundle
    for name in ("manifest.json", "model.onnx", "model.dense.onnx"):
        assert (again / name).read_bytes() == (bundle / name).read_bytes(), name


def test_a_flipped_byte_is_exit_code_6(built: tuple[Path, dict[str, Any], str], tmp_path: Path) -> None:
    bundle, _, _ = built
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(bundle), str(copy)], check=True)
    model = copy / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    done = subprocess.run([*RUN, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 6
    assert "model.onnx" in done.stderr
    with pytest.raises(BundleTamperedError):
        chita_edge.bench(copy)


def test_bench_measures_the_bundle_again_and_keeps_the_samples(
    built: tuple[Path, dict[str, Any], str], tmp_path: Path
) -> None:
    bundle, _, _ = built
    out = tmp_path / "again.json"
    latency = chita_edge.bench(bundle, device_bench.Plan(samples=50), out=out)
    assert latency.samples == 50
    assert len(json.loads(out.read_text())["benchmarks"]) == 2


def _interrupt_at(wanted: str) -> Progress:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == wanted and done:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("stage", ["gradients", "batch norm", "export", "accuracy of sparse", "latency"])
def test_an_interrupt_leaves_nothing(
    stage: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    # torch keeps a cache of its own beside temporary files, where it first happens to look for one.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("torch")))
    monkeypatch.setattr(Dataset, "test", partialmethod(Dataset.test, 100))  # so that the later stages are soon reached
    config = CONFIG.model_copy(update={"method": "magnitude"})
    with pytest.raises(KeyboardInterrupt):
        chita_edge.build(config, tmp_path / "out" / "bundle", progress=_interrupt_at(stage))
    assert list(scratch.iterdir()) == []
    assert [path for path in tmp_path.rglob("*") if path not in (scratch, tmp_path / "out")] == []


def test_ctrl_c_is_a_sentence_and_exit_code_130(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # A shell starts its background jobs with the signal ignored, and Python leaves it so.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    with subprocess.Popen(
        [*RUN[:2], listening + RUN[2], *BUILD],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("gradients"):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Interrupted" in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == [scratch]
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = 'mount -t tmpfs -o size=1m none "$TMPDIR" && "$@"; code=$?; ls -A "$TMPDIR"; exit $code'
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this sandbox does not allow private mounts (unshare -m)")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *RUN, *BUILD, "--method", "magnitude"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "No space left" in done.stderr or "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""  # nothing is left in the full file system either
    assert list(tmp_path.iterdir()) == [scratch]
