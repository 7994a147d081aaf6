"""Other runtimes beside ours on the same sparse network: ratios to ONNX Runtime's dense float32, batch 1.

    python benchmarks/peers.py [--network mobilenet_v1] [--sparsity 0.9] [--threads 1] [--peer deepsparse] [--json FILE]

Each peer has a virtual environment of its own, kept in the user's cache, and a process of its own; the processes
take turns, a burst of runs each, so that what disturbs one disturbs all. A peer that cannot be installed or cannot run
the network is skipped with the reason. int8 models are quantised by ONNX Runtime (static, QDQ) with random calibration.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from networks import NETWORKS, dense_network, input_shape
from rich.console import Console
from rich.table import Table

import exporters
import runtimes
from chita_edge.deploy.decide import decide_for
from device_bench.emulation.prepare import cache_folder

BURSTS, RUNS = 15, 6
INSTALL_SECONDS = 900


@dataclass(frozen=True)
class Peer:
    """A runtime: its packages (none: this environment), which file it runs, and code that makes ``run(x)``."""

    name: str
    model: str
    packages: tuple[str, ...]
    code: str


_ORT = """
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = threads
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
run = lambda x: session.run(None, {"input": x})
"""
_OPENVINO = """
import openvino
core = openvino.Core()
compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                              "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
request = compiled.create_infer_request()
run = lambda x: request.infer({0: x})
"""
_LITERT = """
import subprocess
from ai_edge_litert.interpreter import Interpreter
subprocess.run([sys.executable, CONVERTER, path, path + ".tflite"], check=True)
interpreter = Interpreter(path + ".tflite", num_threads=threads)  # with XNNPACK
interpreter.allocate_tensors()
entry, exit_ = (end[0]["index"] for end in (interpreter.get_input_details(), interpreter.get_output_details()))
nhwc = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
def run(x):
    interpreter.set_tensor(entry, nhwc)
    interpreter.invoke()
    return interpreter.get_tensor(exit_)
""".replace("CONVERTER", repr(str(Path(__file__).with_name("to_tflite.py"))))
PEERS = (
    Peer("ONNX Runtime dense", "dense", (), _ORT),
    Peer(
        "chita-edge",
        "sparse",
        (),
        'import runtimes\nsession = runtimes.session(path, threads)\nrun = lambda x: session.run(None, {"input": x})',
    ),
    Peer("ONNX Runtime int8", "int8", (), _ORT),
    Peer(
        "deepsparse",
        "fixed",
        ("deepsparse==1.8.0", "numpy<2"),
        "import deepsparse\nengine = deepsparse.Engine(path, 1, num_cores=threads)\nrun = lambda x: engine.run([x])",
    ),
    Peer("openvino", "fixed", ("openvino==2025.3.0",), _OPENVINO),
    Peer(
        "openvino int8",
        "int8",
        ("openvino==2025.3.0",),
        _OPENVINO.replace(', "INFERENCE_PRECISION_HINT": "f32"', ""),  # which forbids bfloat16 to the other
    ),
    Peer("mnn", "mnn", (), ""),
    Peer("litert", "fixed", ("ai-edge-litert==1.4.0", "onnx==1.23.2"), _LITERT),
)
_WORKER = """
import os, sys, time
path, shape, threads = sys.argv[1], [int(size) for size in sys.argv[2].split(",")], int(sys.argv[3])
answers = os.fdopen(os.dup(1), "w")  # what a runtime prints must not get between
os.dup2(2, 1)
import numpy as np
x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
exec(sys.argv[4])
run(x)
print("ready", file=answers, flush=True)
for line in sys.stdin:
    run(x)
    times = []
    for _ in range(int(line)):
        begin = time.perf_counter_ns()
        run(x)
        times.append(time.perf_counter_ns() - begin)
    print(*times, file=answers, flush=True)
"""


class SkippedError(Exception):
    """Why a peer has no figure."""


def python_of(peer: Peer) -> Path:
    """The interpreter of the peer's environment, made and filled where it is not there yet."""
    if not peer.packages:
        return Path(sys.executable)
    folder = cache_folder() / "peers" / peer.packages[0].replace("=", "-")
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "numpy", *peer.packages]
        try:
            installed = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise SkippedError(f"its installation took longer than {INSTALL_SECONDS} s") from error
        if installed.returncode:
            raise SkippedError(f"pip: {installed.stderr.strip().splitlines()[-1]}")
        done.touch()
    return python


def write_models(name: str, sparsity: float, folder: Path) -> dict[str, Path | str]:
    """The network in each form that a peer runs; a sentence in place of what cannot be made."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    dense = dense_network(name, sparsity)
    decide = decide_for(runtimes.get_target("x86_64"), dense)
    paths: dict[str, Path | str] = {kind: folder / f"{kind}.onnx" for kind in ("dense", "sparse", "fixed", "int8")}
    exporters.save(dense, folder / "dense.onnx")
    sparse = exporters.to_sparse(dense, decide, cache_bytes=runtimes.get_target("x86_64").cache)
    exporters.save(sparse.model, folder / "sparse.onnx")
    fixed = dense_network(name, sparsity)
    fixed.ir_version = 8  # the newest that deepsparse reads
    for value in (*fixed.graph.input, *fixed.graph.output, *fixed.graph.value_info):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    exporters.save(fixed, folder / "fixed.onnx")

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            rng = np.random.default_rng(1)
            self._left = [rng.standard_normal((1, *input_shape(name))).astype(np.float32) for _ in range(4)]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return {"input": self._left.pop()} if self._left else None

    try:
        quantize_static(folder / "fixed.onnx", folder / "int8.onnx", Images(), QuantFormat.QDQ, per_channel=True)
    except Exception as error:  # onnxruntime's tools raise whatever comes
        paths["int8"] = f"ONNX Runtime cannot quantise it: {error}"
    paths["mnn"] = "its converter installs packages and reports its use when it is run"
    return paths


def start(peer: Peer, model: Path | str, shape: tuple[int, ...], threads: int, log: IO[str]) -> subprocess.Popen[str]:
    if isinstance(model, str):
        raise SkippedError(model)
    command = [str(python_of(peer)), "-c", _WORKER, str(model), ",".join(map(str, shape)), str(threads), peer.code]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "ORT_DISABLE_TELEMETRY": "1",
        "NM_DISABLE_ANALYTICS": "1",
    }
    if peer.packages:
        # What a peer starts, a pip of its own above all, must find its environment and not the one of this process.
        environment.pop("PYTHONPATH", None)
        environment |= {"PATH": f"{python_of(peer).parent}:/usr/bin:/bin", "PIP_REQUIRE_VIRTUALENV": "1"}
        environment["VIRTUAL_ENV"] = str(python_of(peer).parent.parent)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        process.wait()
        log.seek(0)
        raise SkippedError(
            next((line for line in reversed(log.read().splitlines()) if line.strip()), "it ended at once")
        )
    return process


def measure(name: str, sparsity: float, threads: int, peers: list[Peer]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    running: dict[str, subprocess.Popen[str]] = {}
    shape = (1, *input_shape(name))
    with tempfile.TemporaryDirectory() as folder:
        models = write_models(name, sparsity, Path(folder))
        for peer in peers:
            with (Path(folder) / "log").open("w+", encoding="utf-8") as log:
                try:
                    running[peer.name] = start(peer, models[peer.model], shape, threads, log)
                except SkippedError as reason:
                    rows.append({"peer": peer.name, "skipped": str(reason)})
        times: dict[str, list[float]] = {peer: [] for peer in running}
        for _ in range(BURSTS):
            for peer_name, process in running.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{RUNS}\n")
                process.stdin.flush()
                times[peer_name].append(float(np.median([int(one) for one in process.stdout.readline().split()])) / 1e6)
        for process in running.values():
            process.communicate()
    base = np.array(times["ONNX Runtime dense"])
    for peer_name, own in times.items():
        ratio = float(np.median(base / np.array(own)))
        rows.append({"peer": peer_name, "ms": float(np.median(own)), "ratio": ratio})
    return [{"network": name, "sparsity": sparsity, "threads": threads, **row} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), action="append")
    parser.add_argument("--sparsity", type=float, action="append")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", choices=[peer.name for peer in PEERS], action="append", help="beside the first two")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    peers = [peer for peer in PEERS if peer in PEERS[:2] or peer.name in (arguments.peer or [peer.name])]
    rows = [
        row
        for name in arguments.network or ("mobilenet_v1",)
        for sparsity in arguments.sparsity or (0.9,)
        for row in measure(name, sparsity, arguments.threads, peers)
    ]
    table = Table(
        "network", "sparsity", "peer", "ms", "times ONNX Runtime dense", title=f"{arguments.threads} thread(s)"
    )
    for row in rows:
        figures = (
            ("-", f"skipped: {row['skipped']}") if "skipped" in row else (f"{row['ms']:.3f}", f"{row['ratio']:.2f}")
        )
        table.add_row(row["network"], f"{row['sparsity']:.0%}", row["peer"], *figures)
    Console(width=140).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
