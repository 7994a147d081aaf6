"""The harness over its corpus and mutations of it: between guard pages always, under sanitizers where there are some.

The coverage-guided fuzzer runs for as long as one likes with clang's libFuzzer: build as `sanitized` does, then
`./harness -max_len=8192 tests/fuzz/corpus`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sanitized import march

from runtimes import host_platform, library, toolchain
from runtimes.platforms import ops

HERE = Path(__file__).parent
HARNESS = HERE / "csr_harness.c"
CORPUS = sorted((HERE / "corpus").iterdir())
MUTATIONS = 20_000
FLAGS = ("-O1", "-g", "-std=gnu11", "-Wall", "-Wextra", "-I", str(toolchain.NATIVE))
VALIDATION = ("ort/validate_csr.c", "ort/text.c")
CLANG_PACKAGES = "apt-get install --no-install-recommends clang libclang-rt-14-dev"

pytestmark = pytest.mark.skipif(
    host_platform() not in toolchain.PLATFORMS, reason="the harness is built for the platforms of the library"
)


def run(command: Sequence[str | Path], folder: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-4000:]}"
    return done.stdout


def test_between_guard_pages_on_every_isa(tmp_path: Path) -> None:
    """The shipped kernels; the validation compiled so that undefined behaviour traps."""
    trap = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
    target = ("-target", toolchain.get_platform(host_platform()).triple)
    sources = [toolchain.NATIVE / name for name in VALIDATION]
    linked = (library(), f"-Wl,-rpath,{library().parent}", "-lm", "-o", "harness")
    run([*toolchain.compiler_command(), *target, *FLAGS, *trap, HARNESS, *sources, *linked], tmp_path)
    report = json.loads(run([tmp_path / "harness", str(MUTATIONS), "1", *CORPUS], tmp_path))
    assert report["accepted"] + report["refused"] <= MUTATIONS + len(CORPUS)  # the rest was cut off in its header
    assert min(report["accepted"], report["refused"]) > MUTATIONS // 10, "mutations reach both answers"
    assert report["isa"] > 0


def has_fuzzer(folder: Path) -> bool:
    """Whether there is a clang with libFuzzer and AddressSanitizer."""
    clang = shutil.which("clang")
    if clang is None:
        return False
    (folder / "try.c").write_text("int LLVMFuzzerTestOneInput(const char *d, long n) { return 0 * (d - d + n); }\n")
    command = [clang, "-fsanitize=fuzzer,address,undefined", "try.c", "-o", "try"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def sanitized(folder: Path) -> Path:
    """Validation and every kernel under AddressSanitizer and UBSan, driven by libFuzzer."""
    platform = toolchain.get_platform(host_platform())
    # ONNX Runtime's side is left out, and so is our memcpy: a program has libc's, which the sanitizers watch.
    units = [
        unit
        for unit in toolchain.units(platform)
        if unit.source in VALIDATION or not unit.source.startswith(("ort/", "common/memory"))
    ]
    flags = (*FLAGS, "-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all", "-DLIBFUZZER")

    def compile_one(unit: toolchain.Unit) -> str:
        own = [flag for of_zig in unit.flags for flag in march(of_zig)]
        run(["clang", *flags, *own, "-c", toolchain.NATIVE / unit.source, "-o", unit.object], folder)
        return unit.object

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, units))
    run(["clang", *flags, "-fsanitize=fuzzer", HARNESS, *objects, "-lm", "-o", "harness"], folder)
    return folder / "harness"


def test_under_sanitizers_with_libfuzzer(tmp_path: Path) -> None:
    if not os.environ.get("CHITA_EDGE_FUZZ"):
        pytest.skip("compiling every kernel for libFuzzer takes minutes; `CHITA_EDGE_FUZZ=1 pytest tests/fuzz` does it")
    if not has_fuzzer(tmp_path):
        pytest.skip(f"there is no clang with libFuzzer; it comes with `{CLANG_PACKAGES}`")
    copy = shutil.copytree(HERE / "corpus", tmp_path / "corpus")
    options = ("-runs=20000", "-seed=1", "-max_len=8192", "-print_final_stats=0")
    run([sanitized(tmp_path), *options, copy], tmp_path)


def test_references_under_sanitizers(tmp_path: Path) -> None:
    """With any gcc: the validation and the reference kernels; the others are written for clang."""
    flags = (*FLAGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc; it comes with `apt-get install gcc libc6-dev`")
    listed = "".join(f"CE_KERNEL({op}, {dtype}, reference)\n" for op, dtype in ops().items())
    (tmp_path / "kernels.inc").write_text(listed, encoding="utf-8")
    # dispatch.c is compiled from here, so that it finds this list and not the one beside its folder
    (tmp_path / "dispatch.c").write_bytes((toolchain.NATIVE / "common" / "dispatch.c").read_bytes())
    sources = [toolchain.NATIVE / name for name in (*VALIDATION, "common/geometry.c")]
    sources += [*toolchain.NATIVE.glob("cpu/*.c"), *toolchain.NATIVE.glob("*/reference.c"), tmp_path / "dispatch.c"]
    run(["gcc", "-I", tmp_path, *flags, HARNESS, *sources, "-lm", "-o", "harness"], tmp_path)
    report = json.loads(run([tmp_path / "harness", str(MUTATIONS // 4), "1", *CORPUS], tmp_path))
    assert report["accepted"] > MUTATIONS // 40
