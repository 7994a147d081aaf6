"""The main job as a whole, with the real network, kernels and runtimes, on few calibration images."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx
import pytest
import tiny_network
from made_once import made_once

import chita_edge
import device_bench
import exporters
import runtimes
from chita_edge.bundle import verify_bundle
from chita_edge.config import BenchConfig, BuildConfig, ExportConfig
from chita_edge.engine.config import PruneConfig
from chita_edge.errors import BundleTamperedError
from chita_edge.progress import Progress

RUN = [sys.executable, "-c", "from chita_edge.cli import main; main()"]
# Judging on 10,000 images says nothing that 1,000 do not, and takes most of a build's time.
ON_FEW_IMAGES = (
    "from functools import partialmethod; from chita_edge.datasets import Dataset; "
    "Dataset.test = partialmethod(Dataset.test, 1000); "
)
BUILD = ["build", "mobilenet", "--target", "arm64", "--calibration-images", "40", "--samples", "50"]
BUILD += ["--sparsity", "0.75", "--json"]
TINY = ["build", tiny_network.NAME, "--target", "arm64", "--calibration-images", "64"]
CONFIG = BuildConfig(
    model=tiny_network.NAME,
    calibration_images=64,
    prune=PruneConfig(method="obd"),
    export=ExportConfig(target="arm64"),
    bench=BenchConfig(samples=50),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A bundle from the command line, the object that it printed, and what it said meanwhile."""

    def build(folder: Path) -> None:
        command = [*RUN[:2], ON_FEW_IMAGES + RUN[2], *BUILD]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "printed.json").write_text(done.stdout)
        (folder / "said").write_text(done.stderr)

    folder = made_once(tmp_path_factory, "build", build)
    return folder / "mobilenet-arm64", json.loads((folder / "printed.json").read_text()), (folder / "said").read_text()


def test_the_object_has_what_a_script_needs(built: tuple[Path, dict[str, Any], str]) -> None:
    bundle, printed, _ = built
    assert Path(printed["bundle"]) == bundle
    assert (printed["dtype"], printed["structure"], printed["method"]) == ("int8", "1x4", "together")
    assert printed["sparsity"] == pytest.approx(0.75, abs=0.01)
    assert printed["candidates"] == []
    assert 0 < printed["accuracy"]["sparse"] <= 1
    assert printed["accuracy"]["dense"] >= 0.93
    assert printed["size_bytes"]["dense"] == (bundle / "model.dense.onnx").stat().st_size
    assert printed["size_bytes"]["sparse"] == (bundle / "model.onnx").stat().st_size
    assert printed["size_bytes"]["int8"] == (bundle / "model.int8.onnx").stat().st_size
    assert printed["size_bytes"]["sparse"] * 3 <= printed["size_bytes"]["dense"]
    assert printed["accuracy"]["int8"] >= 0.92
    assert all(printed["latency_ms"][name] > 0 for name in ("dense", "int8", "sparse"))
    low, high = printed["speedup_interval"]
    assert low <= printed["speedup"] <= high
    assert printed["device"] == "local"
    assert printed["agreement"]["ONNX Runtime with the kernels"] == 0
    assert all(difference <= 0.25 for difference in printed["agreement"].values())
    assert len(printed["agreement"]) == 3
    assert any("latency on arm64" in sentence for sentence in printed["not_measured"])


def test_each_layer_is_decided_for_a_reason(built: tuple[Path, dict[str, Any], str]) -> None:
    _, printed, _ = built
    layers = printed["layers"]
    assert len(layers) == 28
    assert all(layer["reason"] for layer in layers)
    assert {layer["format"] for layer in layers} >= {"1x4", "depthwise", "dense"}
    assert sum(layer["macs"]["sparse"] for layer in layers) < sum(layer["macs"]["dense"] for layer in layers)
    assert sum(layer["bytes"]["sparse"] for layer in layers) * 3 < sum(layer["bytes"]["dense"] for layer in layers)


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
    assert {b["name"]: len(b["samples"]) for b in samples["benchmarks"]} == {"dense": 50, "int8": 50, "sparse": 50}


def test_the_file_is_standard_and_opens_without_the_library(built: tuple[Path, dict[str, Any], str]) -> None:
    bundle, _, _ = built
    model = exporters.load(bundle / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert runtimes.dense_session(bundle / "model.onnx").get_outputs()[0].name == "logits"


def test_the_same_seed_gives_the_same_bytes_in_another_process(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    weights, data = tiny
    config = CONFIG.model_copy(update={"prune": PruneConfig(seed=5)})
    bundle = chita_edge.build(config, tmp_path / "one name", weights=weights, data=data).bundle
    other = [*tiny_network.program(), *TINY, "--weights", str(weights), "--data", str(data), "--seed", "5"]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*other, "--samples", "50", "--out", "another"], cwd=tmp_path, env=environment, timeout=300, check=True
    )
    for name in ("manifest.json", "model.onnx", "model.dense.onnx", "model.int8.onnx"):
        assert (tmp_path / "another" / name).read_bytes() == (bundle / name).read_bytes(), name


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
    latency = chita_edge.bench(bundle, device_bench.BenchPlan(samples=50), out=out)
    assert latency.samples == 50
    assert len(json.loads(out.read_text())["benchmarks"]) == 3


def _interrupt_at(wanted: str) -> Progress:
    def progress(stage: str, done: int, total: int) -> None:
        if wanted in stage and done:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("stage", ["sensitivities", "% zeros"])
def test_an_interrupt_of_the_choice_among_int8_networks_leaves_nothing(
    stage: str, tiny: tuple[Path, Path], tmp_path: Path
) -> None:
    weights, data = tiny
    config = CONFIG.model_copy(update={"prune": PruneConfig()})
    with pytest.raises(KeyboardInterrupt):
        chita_edge.build(config, tmp_path / "bundle", weights=weights, data=data, progress=_interrupt_at(stage))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["gradients", "batch norm", "export", "accuracy of sparse", "latency"])
def test_an_interrupt_leaves_nothing(
    stage: str,
    tiny: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    weights, data = tiny
    folder = tmp_path / "out" / "bundle"
    with pytest.raises(KeyboardInterrupt):
        chita_edge.build(CONFIG, folder, weights=weights, data=data, progress=_interrupt_at(stage))
    assert list(scratch.iterdir()) == []
    assert [path for path in tmp_path.rglob("*") if path not in (scratch, tmp_path / "out")] == []


# A shell starts its background jobs with the signal ignored, and Python leaves it so.
INTERRUPTED = """
import os, signal
from chita_edge.report.terminal import ProgressBars
signal.signal(signal.SIGINT, signal.default_int_handler)
show = ProgressBars.__call__
def show_and_interrupt(bars, stage, done, total):
    show(bars, stage, done, total)
    if stage == "gradients" and done == total:
        os.kill(os.getpid(), signal.SIGINT)
ProgressBars.__call__ = show_and_interrupt
"""


def test_ctrl_c_is_a_sentence_and_exit_code_130(tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    weights, data = map(str, tiny_files)
    done = subprocess.run(
        [*tiny_network.program(INTERRUPTED), *TINY, "--dtype", "float32", "--weights", weights, "--data", data],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "gradients: done" in done.stderr
    assert "Interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == [scratch]
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_a_sentence_and_leaves_nothing(tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = 'mount -t tmpfs -o size=16k none "$TMPDIR" && "$@"; code=$?; ls -A "$TMPDIR"; exit $code'
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this sandbox does not allow private mounts (unshare -m)")
    weights, data = map(str, tiny_files)
    build = [*tiny_network.program(), *TINY, "--weights", weights, "--data", data, "--method", "magnitude"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *build],
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
