"""Each layer of a network through our int8 kernels: time, GMAC/s of non-zero work, and the sum over the network.

    python benchmarks/int8_kernels.py [--network mobilenet_v1] [--sparsity 0.75] [--structure 1x4] [--isa avx512_vnni]
                                      [--threads 1] [--json FILE]

Kernels alone, without ONNX Runtime around them: the least of many short runs of each layer, residual sums too.
Weights, zeros and inputs are random; weights are normal with the largest of an output at 127, as quantisers have it.
``--threads`` runs the tasks of that many threads one after another: what they cost together, not how long they take.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from layers import NETWORKS, Layer, distinct

from device_bench.sampling.context import cpu_name
from runtimes import library
from runtimes.bindings import ISAS, Kernels, aligned
from runtimes.quantized import Blocks, Grid, QKernels, QPlan, packed_bytes
from runtimes.structures import Geometry

X, Y = Grid(0.02, 128), Grid(0.05, 3)
ROWS = {"dense": 0, "1x4": 1, "2x4": 2}
SUMS = {
    "mobilenet_v2": ((24, 56, 1), (32, 28, 2), (64, 14, 3), (96, 14, 2), (160, 7, 2)),
    "resnet20_cifar": ((16, 32, 3), (32, 16, 3), (64, 8, 3)),
    "resnet50": ((256, 56, 3), (512, 28, 4), (1024, 14, 6), (2048, 7, 3)),
}
"""Residual sums of a network: channels, side, how many."""
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Row:
    """One layer: microseconds, multiply-adds with stored weights, bytes of its plan, and the kernel that ran."""

    layer: Layer
    count: int
    isa: str
    microseconds: float
    macs: int
    plan_bytes: int

    @property
    def gmacs(self) -> float:
        """Multiply-adds a nanosecond."""
        return self.macs / self.microseconds / 1e3


def random_weights(layer: Layer, rows: int, sparsity: float) -> Any:
    """int8 weights, dense or in blocks."""
    inputs = 1 if layer.op == "depthwise_conv" else layer.in_channels
    window = (layer.kernel, layer.kernel) if layer.op != "csr_gemm" else ()
    normal = RNG.standard_normal((layer.out_channels, inputs, *window))
    largest = np.abs(normal).reshape(layer.out_channels, -1).max(1).reshape(-1, *(1,) * (normal.ndim - 1))
    full = np.rint(normal * 127 / largest).astype(np.int8)
    if not rows:
        return full
    full[full == 0] = 1
    kept = RNG.random((-(-layer.out_channels // rows), -(-inputs // 4), *window)) >= sparsity
    return Blocks.of(full * kept.repeat(rows, 0)[: layer.out_channels].repeat(4, 1)[:, :inputs], rows)


def plan_of(ops: QKernels, layer: Layer, weights: Any) -> QPlan:
    """A layer's plan."""
    outputs, side, pad = layer.out_channels, layer.kernel, layer.kernel // 2
    if layer.op == "quantize":
        return ops.quantize(X)
    if layer.op == "add":
        return ops.add(X, X, Y)
    if layer.op == "global_average_pool":
        return ops.global_average_pool(X, Y)
    w_scale, bias = np.full(outputs, 0.002, np.float32), np.zeros(outputs, np.int32)
    if layer.op == "csr_gemm":
        return ops.gemm(weights, w_scale, bias, layer.in_channels, X)
    depthwise = layer.op == "depthwise_conv"
    window = Geometry(outputs, layer.in_channels, side, side, layer.stride, layer.stride, pad, pad, pad, pad, 1, 1)
    return ops.conv("q_depthwise_conv" if depthwise else "q_conv", weights, w_scale, bias, window, X, Y)


def room(shape: tuple[int, ...], floats: bool) -> Any:
    """A tensor in its layout."""
    made = aligned(int(np.prod(shape)) * 4 if floats else packed_bytes(shape))
    made[:] = 0 if floats else RNG.integers(0, 256, made.size)
    return made


def least_microseconds(call: Callable[[], None], seconds: float) -> float:
    """The least time of a call, which a sample repeats for about 30 microseconds."""
    call()
    start = time.perf_counter_ns()
    call()
    repeats = max(1, 30_000 // max(1, time.perf_counter_ns() - start))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter_ns()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter_ns() - start) / repeats / 1e3)
    return best


def layers_of(network: str) -> list[tuple[Layer, int]]:
    """Quantisation of the input, the layers, and the residual sums."""
    first = NETWORKS[network][0]
    start = [(Layer("quantize", first.in_channels, first.in_channels, 1, 1, first.side), 1)]
    sums = [(Layer("add", channels, channels, 1, 1, side), count) for channels, side, count in SUMS.get(network, ())]
    return [*start, *distinct(NETWORKS[network]), *sums]


def measure(ops: QKernels, network: str, sparsity: float, structure: str, threads: int, seconds: float) -> list[Row]:
    """Every distinct layer of a network."""
    rows = []
    for layer, count in layers_of(network):
        weighted = layer.op not in ("quantize", "add", "global_average_pool")
        block_rows = ROWS[structure] if layer.op == "csr_conv" else 0
        weights = random_weights(layer, block_rows, sparsity) if weighted else None
        plan = plan_of(ops, layer, weights)
        x_shape = (1, layer.in_channels, layer.side, layer.side)
        y_shape = plan.out_shape(x_shape)
        x, y = room(x_shape, layer.op == "quantize"), room(y_shape, len(y_shape) == 2)
        second = room(x_shape, False) if layer.op == "add" else None
        taken = least_microseconds(plan.bind(x, y, x_shape, second, threads), seconds)
        stored = weights.values.size if isinstance(weights, Blocks) else weights.size if weighted else 0
        macs = int(stored * np.prod(y_shape[2:], dtype=np.int64))
        rows.append(Row(layer, count, plan.isa, taken, macs, plan.bytes))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="mobilenet_v1")
    parser.add_argument("--sparsity", type=float, default=0.75)
    parser.add_argument("--structure", choices=sorted(ROWS), default="1x4")
    parser.add_argument("--isa", choices=sorted(ISAS), default="best")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.1, help="for each layer")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    ops = QKernels(Kernels(library(), arguments.isa))
    options = (arguments.network, arguments.sparsity, arguments.structure, arguments.threads)
    rows = measure(ops, *options, arguments.seconds)
    for row in rows:
        layer = row.layer
        shape = f"{layer.in_channels}→{layer.out_channels} {layer.kernel}/{layer.stride} @{layer.side}"
        speed = f"{row.gmacs:6.1f} GMAC/s" if row.macs else ""
        print(f"{layer.op:20} {shape:20} x{row.count:<2} {row.microseconds:8.1f} µs {speed} {row.isa}")
    sums = dict.fromkeys((row.layer.op for row in rows), 0.0)
    for row in rows:
        sums[row.layer.op] += row.microseconds * row.count
    parts = ", ".join(f"{op} {total:.0f}" for op, total in sums.items())
    print(
        f"{arguments.network}, {arguments.structure} at {arguments.sparsity:g}: {sum(sums.values()):.0f} µs ({parts})"
    )
    if arguments.json:
        context = {"cpu": cpu_name(), **vars(arguments), "json": None}
        found = [asdict(row) | {"gmacs": row.gmacs} for row in rows]
        arguments.json.write_text(
            json.dumps({"context": context, "sums": sums, "layers": found}, indent=1) + "\n", "utf-8"
        )


if __name__ == "__main__":
    main()
