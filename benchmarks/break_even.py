"""From which sparsity is a sparse layer faster than ONNX Runtime's dense one? Makes the tables of runtimes/break_even.

    python benchmarks/break_even.py [--json runtimes/break_even/x86_64.json]

For each layer shape: one session with a dense Conv and one for each of a few densities with a CsrConv, all alike but
for that, run in turn (interleaved, so that what disturbs one disturbs all). A line through the sparse medians over the
density meets the dense median at the break-even.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import runtimes
from runtimes.targets import LayerShape

DENSITIES = (0.05, 0.15, 0.3, 0.6)
CHANNELS = ((32, 16), (64, 32), (128, 64), (128, 128), (256, 256), (512, 512), (1024, 1024))
PIXELS = (9, 49, 196, 784, 3136)
FEATURES = ((10, 512), (1000, 512), (1000, 1024), (1000, 2048))
LARGEST_MACS = 120e6


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
class Timing:
    """Medians in microseconds."""

    dense: float
    sparse: tuple[float, ...]


def time_layer(layer: LayerShape, rng: np.random.Generator, budget_seconds: float) -> Timing:
    weight = rng.normal(size=(layer.out_channels, layer.in_channels)).astype(np.float32)
    sparse = [np.where(rng.random(weight.shape) < density, weight, np.float32(0)) for density in DENSITIES]
    sessions = [runtimes.dense_session(dense_model(layer, weight))]
    sessions += [runtimes.session(sparse_model(layer, one)) for one in sparse]
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
    return Timing(dense, tuple(rest))


def break_even(timing: Timing) -> float:
    """Sparsity where the fitted sparse time meets the dense time, within [0, 1]."""
    slope, offset = np.polyfit(DENSITIES, timing.sparse, 1)
    if slope <= 0:
        return 0.0 if max(timing.sparse) < timing.dense else 1.0
    return float(np.clip(1 - (timing.dense - offset) / slope, 0, 1))


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure from which sparsity a sparse layer pays.")
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each layer")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    points: list[dict[str, Any]] = []
    print(f"{'op':8} {'out':>5} {'in':>5} {'pixels':>6} {'dense us':>9} {'break-even':>10}   sparse us at {DENSITIES}")
    for layer in layers():
        timing = time_layer(layer, rng, arguments.seconds)
        sparsity = round(break_even(timing), 3)
        shape = f"{layer.op:8} {layer.out_channels:5} {layer.in_channels:5} {layer.out_pixels:6}"
        print(
            f"{shape} {timing.dense:9.1f} {sparsity:10.3f}   {' '.join(f'{t:.1f}' for t in timing.sparse)}", flush=True
        )
        points.append(
            {
                "op": layer.op,
                "out_channels": layer.out_channels,
                "in_channels": layer.in_channels,
                "kernel": list(layer.kernel),
                "out_pixels": layer.out_pixels,
                "sparsity": sparsity,
                "dense_us": round(timing.dense, 2),
                "sparse_us": [round(t, 2) for t in timing.sparse],
            }
        )
    table = {
        "schema_version": 1,
        "what": "median times of one layer, one thread, interleaved",
        "isa": runtimes.host_isa(),
        "onnxruntime": ort.__version__,
        "densities": list(DENSITIES),
        "points": points,
    }
    if arguments.json:
        rows = ",\n".join("    " + json.dumps(point) for point in table.pop("points"))
        head = json.dumps(table, indent=2)[:-2]
        arguments.json.write_text(f'{head},\n  "points": [\n{rows}\n  ]\n}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
