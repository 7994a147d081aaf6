"""Processes of little memory in which hostile models are opened and run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

MEMORY_BYTES = 3 * 2**30
SECONDS = 60

# Forks for each model, so that a thousandth of a second goes into what would otherwise be a new interpreter.
_VICTIM = f"""
import json, os, resource, sys
import numpy as np, runtimes
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def answer(folder):
    resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
    x = np.load(folder + "/x.npy")
    try:
        (y,) = runtimes.session(folder + "/model.onnx", threads=2, trusted=True).run(None, {{"X": x}})
    except Exception as error:
        return {{"error": str(error)}}
    return {{"shape": y.shape, "y": y.ravel()[:1000].tolist()}}

for line in sys.stdin:
    folder = line.rstrip()
    child = os.fork()
    if child == 0:
        with open(folder + "/answer.json", "w") as file:
            json.dump(answer(folder), file)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _VICTIM]
    folder = tmp_path_factory.mktemp("victims")
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SECONDS) == 0


@pytest.fixture
def run_apart(victims: subprocess.Popen[str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a model in a process of its own; what that says: {"error": words} or {"shape": …, "y": …}."""

    def run(model: onnx.ModelProto | bytes, x: npt.NDArray[Any]) -> dict[str, Any]:
        (tmp_path / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        np.save(tmp_path / "x.npy", x)
        assert victims.stdin is not None
        assert victims.stdout is not None
        victims.stdin.write(f"{tmp_path}\n")
        victims.stdin.flush()
        watchdog = threading.Timer(SECONDS, victims.kill)
        watchdog.start()
        status = victims.stdout.readline().strip()
        watchdog.cancel()
        assert status == "0", f"the process ended with status {status or 'none: it hung'}"
        answer: dict[str, Any] = json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))
        return answer

    return run
