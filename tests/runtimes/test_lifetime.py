"""What a session leaves behind, and what does not change from one run, thread or session to the next."""

import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_models
import pytest
import sparse_models
from quantized_models import QNet

import runtimes
from exporters import Decision, to_bytes, to_sparse

SESSIONS = 1000
# A leak of one plan, name or domain a session would be seen: the smallest plan of the network takes 1.5 kB.
MOST_GROWTH_BYTES = 512 * 1024

_MANY = """
import gc, resource, sys
import numpy as np, runtimes
model = open(sys.argv[1], "rb").read()
x = np.zeros([1, *map(int, sys.argv[3].split("x"))], np.float32)

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

settled = 0
for count in range(int(sys.argv[2])):
    runtimes.session(model, threads=1 + count % 2).run(None, {sys.argv[4]: x})
    if count == int(sys.argv[2]) // 4:
        settled = resident()
print(resident() - settled)
"""


def merged() -> bytes:
    """A network whose layers are one node, a sequence."""
    model = to_sparse(onnx_models.tiny(), lambda _: Decision(sparse=True, reason="test"), cache_bytes=1 << 20).model
    assert "ConvSequence" in {node.op_type for node in model.graph.node}
    return to_bytes(model)


def quantized() -> bytes:
    """An int8 region, whose plans with weights take 2 kB and more."""
    net = QNet(np.random.default_rng(0), [3])
    stem = net.conv(net.quantize(), 64, 3, block_rows=0)
    total = net.add(net.conv(net.conv(stem, 64, 3, depthwise=True), 64, sparsity=0.3), stem)
    net.gemm(net.mean(net.table(total)), 128)
    return net.model()


@pytest.mark.parametrize(
    ("model", "sessions", "shape", "name"),
    [
        (lambda: sparse_models.small_network(np.random.default_rng(0)), SESSIONS, "3x32x32", "X"),
        (merged, SESSIONS, "1x8x8", "input"),
        (quantized, SESSIONS // 4, "3x16x16", "X"),
    ],
    ids=["nodes", "sequence", "quantized"],
)
def test_many_sessions_leave_nothing_behind(
    tmp_path: Path, model: Callable[[], bytes], sessions: int, shape: str, name: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model())
    command = [sys.executable, "-c", _MANY, str(path), str(sessions), shape, name]
    # Not in the source tree: its packages would be found before the installed ones.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST_GROWTH_BYTES


def test_results_are_the_same_bits_in_every_run_session_and_number_of_threads() -> None:
    model = sparse_models.small_network(np.random.default_rng(1))
    x = np.random.default_rng(2).standard_normal((2, 3, 32, 32)).astype(np.float32)
    for isa in runtimes.isas():
        found = set()
        for threads in (1, 2, 1, 2, 3):
            session = runtimes.session(model, threads=threads, isa=isa)
            found |= {session.run(None, {"X": x})[0].tobytes() for _ in range(3)}
            del session
            gc.collect()
        assert len(found) == 1, f"{isa}: {len(found)} different results"
