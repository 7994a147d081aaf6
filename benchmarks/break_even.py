"""From which sparsity is a sparse layer faster than ONNX Runtime's dense one? Makes the tables of runtimes/break_even.

    python benchmarks/break_even.py x86_64 [--json runtimes/break_even/x86_64.json]
    python benchmarks/break_even.py arm64 [--json runtimes/break_even/arm64.json]

For each layer shape: one session with a dense Conv and one for each of a few densities with a CsrConv, all alike but
for that. x86_64: run in turn (interleaved, so that what disturbs one disturbs all), median times. arm64: instructions
counted under emulation, an estimate. A line through the sparse costs over the density meets the dense cost at the
break-even.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import runtimes
from device_bench.emulation import count_instructions, emulator
from runtimes.targets import LayerShape

DENSITIES = (0.05, 0.15, 0.3, 0.6)
COUNTED_DENSITIES = (0.1, 0.4)
COUNTED_CPU = "cortex-a76"
CHANNELS = ((32, 16), (64, 32), (128, 64), (128, 128), (256, 256), (512, 512), (1024, 1024))
PIXELS = (9, 49, 196, 784, 3136)
FEATURES = ((10, 512), (1000, 512), (1000, 1024), (1000, 2048))
COUNTED = (
    *((32, 16, 784), (64, 32, 784), (128, 64, 784), (128, 128, 196), (256, 256, 49), (256, 256, 196), (512, 512, 9)),
    *((512, 512, 49), (1024, 1024, 9), (1024, 1024, 49)),
)
LARGEST_MACS = 120e6


def counted_layers() -> list[LayerShape]:
    convolutions = [LayerShape("CsrConv", out, inner, out_pixels=pixels) for out, inner, pixels in COUNTED]
    return convolutions + [LayerShape("CsrGemm", out, inner) for out, inner in FEATURES[:3]]


def layers() -> list[LayerShape]:
    convolutions = [
        LayerShape("CsrConv", out, inner, out_pixels=pixels)
        for out, inner in CHANNELS
        for pixels in PIXELS
        if out * inner * pixels <= LARGEST_MACS
    ]
    return convolutions + [LayerShape("CsrGemm", out, inner) for out, inner in FEATURES]


def input_shape(layer: LayerShape) -> list[int]:
    if layer.op == "CsrGemm":
        return [1, layer.in_channels]
    height = next(h for h in range(int(layer.out_pixels**0.5), 0, -1) if layer.out_pixels % h == 0)
    return [1, layer.in_channels, height, layer.out_pixels // height]


def model_bytes(layer: LayerShape, node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, input_shape(layer))],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("chita.edge", 1)]
    return helper.make_model(graph, ir_version=10, opset_imports=opsets).SerializeToString()


def dense_model(layer: LayerShape, weight: np.ndarray) -> bytes:
    bias = np.zeros(layer.out_channels, np.float32)
    if layer.op == "CsrGemm":
        node = helper.make_node("Gemm", ["X", "W", "bias"], ["Y"], transB=1)
        return model_bytes(layer, node, {"W": weight, "bias": bias})
    node = helper.make_node("Conv", ["X", "W", "bias"], ["Y"], kernel_shape=[1, 1])
    return model_bytes(layer, node, {"W": weight[:, :, None, None], "bias": bias})


def sparse_model(layer: LayerShape, weight: np.ndarray) -> bytes:
    rows, columns = np.nonzero(weight)
    shape = weight.shape if layer.op == "CsrGemm" else (*weight.shape, 1, 1)
    index = np.uint8 if weight.shape[1] <= 256 else np.uint16 if weight.shape[1] <= 65536 else np.int32
    constants = {
        "values": weight[rows, columns],
        "col_idx": columns.astype(index),
        "row_ptr": np.searchsorted(rows, np.arange(weight.shape[0] + 1)).astype(np.int32),
        "weight_shape": np.array(shape, np.int64),
        "bias": np.zeros(layer.out_channels, np.float32),
    }
    node = helper.make_node(layer.op, ["X", *constants], ["Y"], name="layer", domain="chita.edge")
    return model_bytes(layer, node, constants)


@dataclass(frozen=True)
class Cost:
    """Median microseconds, or instructions: of the dense layer, and of the sparse one at each of `densities`."""

    densities: tuple[float, ...]
    dense: float
    sparse: tuple[float, ...]


def weights(layer: LayerShape, densities: Sequence[float], rng: np.random.Generator) -> tuple[bytes, list[bytes]]:
    """The dense model, and the sparse one for each density."""
    weight = rng.normal(size=(layer.out_channels, layer.in_channels)).astype(np.float32)
    sparse = [np.where(rng.random(weight.shape) < density, weight, np.float32(0)) for density in densities]
    return dense_model(layer, weight), [sparse_model(layer, one) for one in sparse]


def count_layer(layer: LayerShape, rng: np.random.Generator) -> Cost:
    dense, sparse = weights(layer, COUNTED_DENSITIES, rng)
    x = rng.normal(size=input_shape(layer)).astype(np.float32)
    device = emulator(COUNTED_CPU)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        costs = []
        for index, model in enumerate([dense, *sparse]):
            path.write_bytes(model)
            costs.append(float(count_instructions(device, path, x, sparse=index > 0)))
    return Cost(COUNTED_DENSITIES, costs[0], tuple(costs[1:]))


def time_layer(layer: LayerShape, rng: np.random.Generator, budget_seconds: float) -> Cost:
    dense_bytes, sparse_bytes = weights(layer, DENSITIES, rng)
    sessions = [runtimes.dense_session(dense_bytes), *(runtimes.session(one) for one in sparse_bytes)]
    x = rng.normal(size=input_shape(layer)).astype(np.float32)
    samples: list[list[float]] = [[] for _ in sessions]
    end = time.perf_counter() + budget_seconds
    while time.perf_counter() < end or len(samples[0]) < 20:
        for session, own in zip(sessions, samples, strict=True):
            session.run(None, {"X": x})  # brings this session's weights back into the cache
            begin = time.perf_counter_ns()
            session.run(None, {"X": x})
            own.append((time.perf_counter_ns() - begin) / 1e3)
    dense, *rest = (float(np.median(own)) for own in samples)
    return Cost(DENSITIES, dense, tuple(rest))


def break_even(cost: Cost) -> float:
    """Sparsity where the fitted sparse cost meets the dense cost, within [0, 1]."""
    slope, offset = np.polyfit(cost.densities, cost.sparse, 1)
    if slope <= 0:
        return 0.0 if max(cost.sparse) < cost.dense else 1.0
    return float(np.clip(1 - (cost.dense - offset) / slope, 0, 1))


def point(layer: LayerShape, cost: Cost) -> dict[str, Any]:
    return {
        "op": layer.op,
        "out_channels": layer.out_channels,
        "in_channels": layer.in_channels,
        "kernel": list(layer.kernel),
        "out_pixels": layer.out_pixels,
        "sparsity": round(break_even(cost), 3),
        "dense": round(cost.dense, 1),
        "sparse": [round(one, 1) for one in cost.sparse],
    }


def write_table(path: Path, head: dict[str, Any], points: list[dict[str, Any]]) -> None:
    """One line a point, so that a new table can be read as a difference."""
    rows = ",\n".join("    " + json.dumps(one) for one in points)
    path.write_text(f'{json.dumps(head, indent=2)[:-2]},\n  "points": [\n{rows}\n  ]\n}}\n', encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="From which sparsity does a sparse layer pay?")
    parser.add_argument("target", choices=sorted(runtimes.TARGETS))
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each layer (x86_64)")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    timed = arguments.target == "x86_64"
    densities = DENSITIES if timed else COUNTED_DENSITIES
    unit = "us" if timed else "instructions"
    points = []
    print(
        f"{'op':8} {'out':>5} {'in':>5} {'pixels':>6} {'break-even':>10} {'dense':>12}   sparse at {densities}; {unit}"
    )
    for layer in layers() if timed else counted_layers():
        one = point(layer, time_layer(layer, rng, arguments.seconds) if timed else count_layer(layer, rng))
        shape = f"{layer.op:8} {layer.out_channels:5} {layer.in_channels:5} {layer.out_pixels:6}"
        print(f"{shape} {one['sparsity']:10.3f} {one['dense']:12.1f}   {' '.join(map(str, one['sparse']))}", flush=True)
        points.append(one)
    head = {
        "schema_version": 1,
        "what": "median microseconds, one thread" if timed else f"instructions counted on an emulated {COUNTED_CPU}",
        "isa": runtimes.host_isa() if timed else "neon",
        "onnxruntime": ort.__version__,
        "densities": list(densities),
    }
    if arguments.json:
        write_table(arguments.json, head, points)
    return 0


if __name__ == "__main__":
    sys.exit(main())
