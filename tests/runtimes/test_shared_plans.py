"""A weight that several nodes have lies in memory once, whoever of them goes first."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from stock import outputs_of

import exporters
import runtimes

LAYERS = 8
RUN = """
import ctypes, json, sys
import numpy as np, onnxruntime as ort, runtimes

FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = type("Info", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in FIELDS]})

def in_use():
    info = mallinfo()
    return info.uordblks + info.hblkhd

options = ort.SessionOptions()
options.enable_cpu_mem_arena = False  # which would keep what is freed
options.intra_op_num_threads = 1
options.log_severity_level = 4
options.register_custom_ops_library(str(runtimes.library()))
ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])  # the first one takes more
grown = []
for path in sys.argv[1:]:
    before = in_use()
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    grown.append(in_use() - before)
    del session
print(json.dumps(grown))
"""


def chain(channels: int, biases: int, kernel: int = 3) -> onnx.ModelProto:
    """Convolutions one after the other with one weight, of which so many have a bias of their own."""
    rng = np.random.default_rng(0)
    shape = (channels, channels, kernel, kernel)
    weight = rng.standard_normal(shape).astype(np.float32) * (rng.random(shape) < 0.3) / channels**0.5
    tensors = [numpy_helper.from_array(weight.astype(np.float32), "w")]
    tensors += [numpy_helper.from_array(np.full(channels, index, np.float32), f"b{index}") for index in range(biases)]
    nodes = [
        helper.make_node(
            "Conv", [f"v{index}", "w", f"b{index % biases}"], [f"v{index + 1}"], f"layer{index}", pads=[kernel // 2] * 4
        )
        for index in range(LAYERS)
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 5, 6]) for name in ("v0", f"v{LAYERS}")
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])


def sparse(dense: onnx.ModelProto) -> onnx.ModelProto:
    return exporters.to_sparse(dense, lambda _: exporters.Decision(sparse=True, reason="test")).model


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library does not tell what is in use")
def test_equal_layers_take_the_memory_of_one(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("one.onnx", "each.onnx")]
    for path, biases in zip(paths, (1, LAYERS), strict=True):
        onnx.save(sparse(chain(96, biases)), path)
    done = subprocess.run([sys.executable, "-c", RUN, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, each = json.loads(done.stdout)
    plan = 0.3 * 96 * 96 * 9 * 6
    assert each - one > 0.95 * (LAYERS - 1) * plan


@pytest.mark.parametrize("biases", [1, 2, LAYERS])
def test_outputs_are_those_of_layers_of_their_own(biases: int) -> None:
    dense = chain(48, biases)
    x = np.random.default_rng(1).standard_normal((1, 48, 5, 6)).astype(np.float32)
    (want,) = outputs_of(dense, {"v0": x})
    got = runtimes.session(sparse(dense).SerializeToString()).run(None, {"v0": x})[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_sessions_are_made_and_ended_side_by_side() -> None:
    data = sparse(chain(48, 2)).SerializeToString()
    x = np.random.default_rng(1).standard_normal((1, 48, 5, 6)).astype(np.float32)
    kept = runtimes.session(data)
    (want,) = kept.run(None, {"v0": x})

    def use(_: int) -> bool:
        first, second = runtimes.session(data), runtimes.session(data)
        del first
        return bool(np.array_equal(second.run(None, {"v0": x})[0], want))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(24)))
    assert np.array_equal(kept.run(None, {"v0": x})[0], want)
