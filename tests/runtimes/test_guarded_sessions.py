"""Chains and sequences in ONNX Runtime's own sessions, where every allocation ends before an unreadable page.

The kernels alone are held between such pages in ``tests/runtimes/native``; here the sizes are those that the library
asks ONNX Runtime for, in a process in which each block is followed by memory that nobody may touch, and cannot be read
once it is freed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import sparse_models
from kernel_isas import float_isas, int8_isas
from onnx import TensorProto, helper, numpy_helper
from quantized_models import QNet

from exporters.ops import CHAINS, EdgeOp, find_op
from runtimes import host_platform
from runtimes.toolchain import PLATFORMS, build_program

GUARD = Path(__file__).parent / "native" / "guard.c"
RUN = """
import hashlib, json, os, sys
import numpy as np, onnxruntime as ort, runtimes

def run(path, shape, isa, count):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 + count % 2
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # a block for each allocation
    options.log_severity_level = 4
    options.add_session_config_entry("chita_edge.intra_op_threads", str(count))
    options.add_session_config_entry("chita_edge.isa", isa)
    options.register_custom_ops_library(str(runtimes.library()))
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    y = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"X": x})[0]
    assert np.isfinite(y).all(), "not a number"
    return hashlib.sha256(y.tobytes()).hexdigest()

def run_alone(*case):
    # A process for each run: the library keeps a run's scratch for the next one, which might need less of it.
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        os.write(sink, run(*case).encode())
        os._exit(0)
    os.close(sink)
    with open(source) as answer:
        found = answer.read()
    assert os.waitpid(child, 0)[1] == 0 and found, f"{case}: the run failed"
    return found

for path, shape, isas, counts in json.loads(sys.argv[1]):
    for isa in isas:
        found = {run_alone(path, shape, isa, count) for count in counts}
        assert len(found) == 1, f"{path} {shape} {isa}: the number of threads changes bits"
print("all ran")
"""
COUNTS = (1, 2, 3, 5, 16)


def model_of(op: EdgeOp, channels: Sequence[int], stages: str | None = None) -> bytes:
    """A node of an op with stages; ``channels``: of X and of each stage's output."""
    rng = np.random.default_rng(len(channels))
    constants, attributes = {}, {}
    for index, part in enumerate(op.parts):
        out, name = channels[index + 1], part.op.name
        source = channels[part.source] if stages else channels[index]
        kernel = 1 if name.startswith("Csr") and not stages else 3
        shape = (out, 1 if name == "DepthwiseConv" else source, kernel, kernel)
        weight = sparse_models.random_sparse(rng, shape, 0.7 if name.startswith("Csr") else 0)
        own = sparse_models.constants_of(name, weight, rng.normal(size=out).astype(np.float32))
        constants |= {f"{key}{part.suffix}": array for key, array in own.items()}
        attributes |= {f"pads{part.suffix}": [kernel // 2] * 4, f"strides{part.suffix}": [1, 1]}
        attributes |= {f"dilations{part.suffix}": [1, 1]}
        if name == "DepthwiseConv":
            attributes[f"group{part.suffix}"] = out
    if stages:
        attributes["stages"] = stages
    fed = ["X"] if "residual" in op.inputs else []
    node = helper.make_node(op.name, ["X", *constants, *fed], ["Y"], name="run", domain="chita.edge", **attributes)
    graph = helper.make_graph(
        [node],
        "guarded",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", channels[0], "H", "W"])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, ir_version=10, opset_imports=sparse_models.OPSETS)
    )


def sequence(text: str, channels: Sequence[int]) -> bytes:
    op = find_op("ConvSequence", text)
    assert op is not None
    return model_of(op, channels, text)


def quantized() -> QNet:
    """Every int8 kernel, with values of several sizes between them."""
    net = QNet(np.random.default_rng(1), [5])
    stem = net.conv(net.quantize(), 9, 3, block_rows=0, stride=2)
    deep = net.conv(net.table(net.conv(stem, 22, sparsity=0.8)), 22, 3, depthwise=True)
    scaled = net.mul(deep, net.gemm(net.mean(deep), 22, block_rows=2, to_float=False))
    total = net.add(stem, net.conv(net.max_pool(scaled, 3, 1), 9, 3, block_rows=2))
    net.dequantize(net.conv(total, 7, 1, sparsity=0.3))
    return net


# The strips of a depthwise layer that feeds a sparse one: 128 channels of 20 pixels fit in once 6 rows, once 5 or 4.
CASES: dict[str, tuple[Callable[[], bytes], list[tuple[int, ...]]]] = {
    "fed": (lambda: model_of(CHAINS["DP"], (128, 128, 9)), [(1, 128, 20, 20), (1, 128, 1, 17)]),
    "fed_residual": (lambda: model_of(CHAINS["DA"], (24, 24, 24)), [(1, 24, 3, 352)]),
    "fed_twice": (lambda: model_of(CHAINS["DPDP"], (24, 24, 40, 40, 3)), [(1, 24, 352, 18)]),
    "bands": (lambda: model_of(CHAINS["PDP"], (3, 96, 96, 4)), [(1, 3, 61, 70)]),
    "stem": (lambda: model_of(CHAINS["SDP"], (3, 8, 8, 5)), [(2, 3, 31, 90)]),
    "sequence": (
        lambda: sequence("DenseConv:0 CsrConv:1 DepthwiseConv:2 CsrConvAdd:3+1", (3, 8, 9, 9, 8)),
        [(1, 3, 23, 17), (2, 3, 8, 40)],
    ),
    "quantized": (lambda: quantized().model(), [(1, 5, 23, 17), (2, 5, 8, 40)]),
}


@pytest.mark.skipif(
    host_platform() not in PLATFORMS or not sys.platform.startswith("linux"),
    reason="the allocator is loaded before the C library's of Linux",
)
def test_chains_and_sequences_touch_only_what_they_asked_for(tmp_path: Path) -> None:
    flags = ("-shared", "-fPIC", "-Wno-unused-parameter")
    guard = build_program(host_platform(), [GUARD], tmp_path / "guard.so", flags)
    cases = []
    for name, (make, shapes) in CASES.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(make())
        isas, counts = (int8_isas(), (1, 3, 16)) if name == "quantized" else (float_isas(), COUNTS)
        cases += [(str(path), shape, isas, counts) for shape in shapes]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(cases)],
        cwd=tmp_path,
        env={**os.environ, "LD_PRELOAD": str(guard)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "all ran\n"
