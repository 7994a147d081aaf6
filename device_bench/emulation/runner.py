"""Run one model on an emulated processor with the native runner."""

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import runtimes
from device_bench import android
from device_bench.emulation import prepare
from device_bench.emulation.emulator import Emulator
from device_bench.errors import MeasurementError
from device_bench.sampling.inputs import as_runner_words
from runtimes.toolchain import build_program

SOURCES = Path(__file__).parent.parent / "runner"
PLATFORM = "linux-aarch64"
_LARGEST_OUTPUT = 2**31
Inputs = npt.NDArray[Any] | Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class RunnerResult:
    """Output of one process of the runner; empty where it is not of float32."""

    output: npt.NDArray[np.float32]
    samples_ns: tuple[int, ...]
    create_ns: int
    onnxruntime: str
    log: str
    """All that was printed, for a plugin's lines."""


def runner_program(folder: Path | None = None, platform: str = PLATFORM) -> Path:
    """The runner for `platform`, compiled when its sources, or ours that it includes, have changed.

    Raises:
        ToolchainError: it could not be compiled.

    """
    sources = sorted(SOURCES.glob("*.c"))
    abi = Path(runtimes.__file__).parent / "native" / "ort" / "abi.h"
    system = sorted(Path(android.__file__).parent.rglob("*.*")) if platform == android.PLATFORM else []
    files = [*sorted(SOURCES.glob("*.[ch]")), abi, *(path for path in system if path.suffix in (".c", ".h", ".py"))]
    output = _named_after_content(f"runner-{platform}", files, folder)
    if output.is_file():
        return output
    return android.build_android(sources, output) if system else build_program(platform, sources, output)


def _named_after_content(name: str, files: list[Path], folder: Path | None) -> Path:
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    return (folder or prepare.cache_folder()) / f"{name}-{digest[:16]}"


def build_plugin(source: Path, folder: Path | None = None) -> Path:
    """A plugin for qemu, compiled when its source has changed.

    Raises:
        ToolchainError: it could not be compiled.

    """
    plugin = _named_after_content(source.stem, [source], folder).with_suffix(".so")
    if not plugin.is_file():
        flags = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,undefs")
        build_program(runtimes.host_platform(), [source], plugin, flags)
    return plugin


def count_instructions(
    device: Emulator,
    model: Path,
    x: Inputs,
    *,
    sparse: bool = True,
    folder: Path | None = None,
    timeout_seconds: float = 300,
) -> int:
    """Instructions of one inference on one thread: half of what three runs execute more than one run, at least.

    Raises:
        EmulationUnavailableError: something is missing, or this qemu has no plugins.
        MeasurementError: a run failed.

    """
    plugin = build_plugin(Path(__file__).parent / "count.c", folder)

    def counted(runs: int) -> int:
        result = run_model(
            device,
            model,
            x,
            sparse=sparse,
            runs=runs,
            folder=folder,
            timeout_seconds=timeout_seconds,
            plugin=str(plugin),
        )
        found = re.search(r"^instructions: (\d+)$", result.log, flags=re.MULTILINE)
        if found is None:
            raise prepare.EmulationUnavailableError(
                f"{device.qemu} has no plugins; the dynamic qemu-user 7.2 of `{prepare.APT_COMMAND}` has them"
            )
        return int(found[1])

    # What else a process does now and then (an interrupted call that is made again) only adds instructions.
    least = [min(counted(runs) for _ in range(2)) for runs in (1, 3)]
    return (least[1] - least[0]) // 2


def run_model(
    device: Emulator,
    model: Path,
    x: Inputs,
    *,
    sparse: bool = True,
    threads: int = 1,
    isa: str | None = None,
    runs: int = 1,
    folder: Path | None = None,
    timeout_seconds: float = 300,
    plugin: str | None = None,
) -> RunnerResult:
    """Run `model` on `device` with the input `x`, in float32, or several of any type, and hand back its first output.

    `sparse` registers the kernel library, without it the runtime is stock ONNX Runtime.

    Raises:
        EmulationUnavailableError: ONNX Runtime for arm64 is missing.
        LibraryMissingError: there is no arm64 kernel library.
        MeasurementError: the runner failed or printed nonsense.

    """
    library = prepare.onnxruntime_library(folder)
    program = runner_program(folder)
    with tempfile.TemporaryDirectory(prefix="chita-edge-emulated-") as name:
        source, result = Path(name) / "x.raw", Path(name) / "y.raw"
        content, shapes = as_runner_words([x.astype(np.float32)] if isinstance(x, np.ndarray) else x)
        source.write_bytes(content)
        options: dict[str, object] = {
            "--ort": library,
            "--model": model.resolve(),
            "--input": source,
            "--output": result,
            "--threads": threads,
            "--runs": runs,
        }
        if sparse:
            options["--library"] = runtimes.library(PLATFORM)
        if isa is not None:
            options["--isa"] = isa
        command = [str(program), *(str(part) for pair in options.items() for part in pair), *shapes]
        log = device.run(command, timeout_seconds, plugin)
        return _read(log, result)


def _read(log: str, file: Path) -> RunnerResult:
    try:
        report = json.loads(next(line for line in log.splitlines() if line.startswith("{")))
        if "output_shape" not in report:
            file.write_bytes(b"")
        shape = [int(size) for size in report.get("output_shape", (0,))]
        elements = int(np.prod(shape, dtype=np.float64))
        if elements * 4 > _LARGEST_OUTPUT or file.stat().st_size != elements * 4:
            raise MeasurementError(f"the runner's output does not have the shape {shape} that it reported")
        output = np.frombuffer(file.read_bytes(), np.dtype("<f4")).reshape(shape).astype(np.float32)
        samples = tuple(int(sample) for sample in report["samples_ns"])
        return RunnerResult(output, samples, int(report["create_ns"]), str(report["onnxruntime"]), log)
    except (StopIteration, ValueError, KeyError, TypeError, OSError) as error:
        raise MeasurementError(f"the runner printed what it should not: {log[:500]!r}") from error
