"""Each layer of a network through our kernels: time, and GMAC/s of non-zero work beside what the core can do at most.

python benchmarks/kernels.py [--network mobilenet_v1] [--sparsity 0.8] [--isa avx512] [--json FILE]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from layers import NETWORKS, Layer, distinct
from rich.console import Console
from rich.table import Table

from runtimes.kernels import ISAS, NATIVE, Csr, Kernels, Plan, aligned, geometry
from runtimes.library import library

CPU = {"sse2": "x86_64", "avx2": "x86_64_v3", "avx512": "x86_64_v4-prefer_256_bit", "neon": "generic"}


@dataclass(frozen=True)
class Row:
    """One layer: microseconds (least of the repetitions), multiply-adds done (non-zero ones), bytes of the plan."""

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


def best_ns(call: Callable[[], None], seconds: float) -> int:
    """The least time of one call, repeated for about ``seconds``."""
    call()
    times: list[int] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return min(times)


def make_plan(kernels: Kernels, layer: Layer, sparsity: float, rng: np.random.Generator) -> tuple[Plan, int]:
    """A plan with random weights, and its multiply-adds for one image."""
    if layer.op == "global_average_pool":
        return kernels.global_average_pool(), layer.dense_macs
    bias = np.zeros(layer.out_channels, np.float32)
    if layer.op == "depthwise_conv":
        weights = rng.standard_normal((layer.out_channels, layer.kernel**2), np.float32)
    else:
        weights = rng.standard_normal((layer.out_channels, layer.in_channels * layer.kernel**2), np.float32)
    if layer.op.startswith("csr"):
        weights[rng.random(weights.shape) < sparsity] = 0
    macs = int(np.count_nonzero(weights)) * layer.out_side**2
    window = geometry(layer.out_channels, layer.in_channels, layer.kernel, layer.stride)
    if layer.op == "csr_gemm":
        return kernels.csr_gemm(Csr.of(weights), bias, layer.in_channels), macs
    if layer.op == "csr_conv":
        return kernels.csr_conv(Csr.of(weights), bias, window, (0, 6)), macs
    return kernels.dense(layer.op, weights, bias, window, (0, 6)), macs


def measure(kernels: Kernels, network: str, sparsity: float, seconds: float) -> list[Row]:
    """Every distinct layer of a network."""
    rng = np.random.default_rng(0)
    rows = []
    for layer, count in distinct(NETWORKS[network]):
        plan, macs = make_plan(kernels, layer, sparsity, rng)
        planes = (layer.in_channels, 1) if layer.op == "global_average_pool" else (1, layer.in_channels)
        shape = planes if layer.op == "csr_gemm" else (*planes, layer.side, layer.side)
        x = aligned(int(np.prod(shape)) * 4).view(np.float32).reshape(shape)
        x[...] = rng.standard_normal(shape, np.float32)
        y_shape = plan.out_shape(shape)
        y = aligned(int(np.prod(y_shape)) * 4).view(np.float32).reshape(y_shape)
        rows.append(Row(layer, count, plan.isa, best_ns(plan.bind(x, y), seconds) / 1e3, macs, plan.bytes))
    return rows


def peaks(isa: str) -> dict[str, float]:
    """Limits of one core: GMAC/s, and GB/s of loads from 16 KiB, 512 KiB and 32 MiB; empty for the reference."""
    if isa not in CPU:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "peaks.so"
        flags = ["-O3", "-shared", "-fPIC", "-ffreestanding", "-nostdlib", "-fno-sanitize=all", f"-mcpu={CPU[isa]}"]
        source = str(Path(__file__).parent / "peaks.c")
        command = [sys.executable, "-m", "ziglang", "cc", *flags, "-I", str(NATIVE), source, "-o", str(out)]
        subprocess.run(command, check=True)
        functions = ctypes.CDLL(str(out))
        functions.peak_fma.restype = functions.peak_load.restype = ctypes.c_double
        sink, data = np.zeros(1024, np.float32), aligned(1 << 25)
        data[...] = 0

        def rate(function: Callable[[], float]) -> float:
            best = 0.0
            for _ in range(50):
                start = time.perf_counter_ns()
                best = max(best, function() / (time.perf_counter_ns() - start))
            return best

        sunk, source_address = ctypes.c_void_p(sink.ctypes.data), ctypes.c_void_p(data.ctypes.data)
        found = {"fma_gmacs": rate(lambda: functions.peak_fma(ctypes.c_long(2000), sunk))}
        for name, size in (("l1_gb", 1 << 14), ("l2_gb", 1 << 19), ("beyond_gb", 1 << 25)):
            rounds = max(1, (1 << 24) // size)
            found[name] = rate(
                lambda size=size, rounds=rounds: functions.peak_load(
                    source_address, ctypes.c_long(size), ctypes.c_long(rounds), sunk
                )
            )
        return found


def show(rows: list[Row], limits: dict[str, float], title: str) -> None:
    """Print the table."""
    table = Table("op", "in→out", "k/s", "side", "count", "µs", "GMAC/s", "% of FMA peak", title=title)
    for row in rows:
        layer, share = row.layer, 100 * row.gmacs / limits["fma_gmacs"] if limits else float("nan")
        shape, window = f"{layer.in_channels}→{layer.out_channels}", f"{layer.kernel}/{layer.stride}"
        figures = (f"{row.microseconds:.1f}", f"{row.gmacs:.1f}", f"{share:.0f}")
        table.add_row(layer.op, shape, window, str(layer.side), str(row.count), *figures)
    console = Console()
    console.print(table)
    for op in dict.fromkeys(row.layer.op for row in rows):
        console.print(f"{op}: {sum(r.microseconds * r.count for r in rows if r.layer.op == op) / 1e3:.3f} ms")
    console.print(f"sum of the layers: {sum(row.microseconds * row.count for row in rows) / 1e3:.3f} ms")
    console.print("peaks of one core: " + ", ".join(f"{name} {value:.0f}" for name, value in limits.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="mobilenet_v1")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--isa", choices=sorted(ISAS), default="best")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each layer")
    parser.add_argument("--library", type=Path, help="another build of the kernels")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    kernels = Kernels(arguments.library or library(), arguments.isa)
    rows = measure(kernels, arguments.network, arguments.sparsity, arguments.seconds)
    limits = peaks(kernels.available())
    show(rows, limits, f"{arguments.network} at sparsity {arguments.sparsity}, {kernels.available()}, 1 thread")
    if arguments.json:
        result = {
            "context": {"network": arguments.network, "sparsity": arguments.sparsity, "isa": kernels.available()},
            "peaks": limits,
            "layers": [asdict(row) | {"gmacs": row.gmacs} for row in rows],
        }
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
