"""Instructions of one inference of each of many models on an emulated Arm processor, in one process of ONNX Runtime."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx

import runtimes
from device_bench.emulation import emulator
from device_bench.emulation.prepare import onnxruntime_library
from runtimes.toolchain import build_program

_HERE = Path(__file__).parent
_PLATFORM = "linux-aarch64"
Counted = tuple[onnx.ModelProto, tuple[int, ...], bool]
"""A model of one input, that input's shape, and whether the kernels run it."""


def count_many(models: Iterable[Counted], cpu: str, timeout_s: float = 1800) -> list[int]:
    """The instructions of each, its second run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plugin, program = folder / "marks.so", folder / "count_many"
        flags = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,undefs")
        build_program(runtimes.host_platform(), [_HERE / "count_marks.c"], plugin, flags)
        runner = _HERE.parent / "device_bench" / "runner"
        build_program(_PLATFORM, [_HERE / "count_many.c", runner / "inputs.c", runner / "model.c"], program)
        lines = []
        for index, (model, shape, sparse) in enumerate(models):
            path, source = folder / f"{index}.onnx", folder / f"{index}.raw"
            path.write_bytes(model.SerializeToString())
            source.write_bytes(np.random.default_rng(1).standard_normal(shape).astype("<f4").tobytes())
            lines.append(f"{int(sparse)} {path} {source} {','.join(map(str, shape))}")
        (folder / "list").write_text("\n".join(lines) + "\n")
        command = [program, onnxruntime_library(), runtimes.library(_PLATFORM), folder / "list"]
        log = emulator(cpu).run(command, timeout_s, str(plugin))
    marks = [int(found) for found in re.findall(r"^mark: (\d+)$", log, flags=re.MULTILINE)]
    if len(marks) != 2 * len(lines):
        raise RuntimeError(f"{len(marks)} marks of {len(lines)} models: {log[-2000:]}")
    return [end - begin for begin, end in zip(marks[::2], marks[1::2], strict=True)]
