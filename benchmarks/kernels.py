"""Each layer of a network through our kernels: time, and GMAC/s of non-zero work beside what the core can do at most.

python benchmarks/kernels.py [--network mobilenet_v1] [--sparsity 0.8] [--structure 4x1] [--isa avx512] [--json FILE]

With blocks (2x1, 4x1) or N:M as the structure, each layer that can have it runs once with weights of that structure and
once with CSR of the same weights, in turns; the table has the file's bytes and the time of both.
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
from structures import format_of, random_weights, stored_bytes

from runtimes.bindings import ISAS, Kernels, Plan, aligned
from runtimes.library import library
from runtimes.packed_weights import Csr, NmWeight
from runtimes.platforms import NATIVE
from runtimes.structures import geometry

CPU = {"sse2": "x86_64", "avx2": "x86_64_v3", "avx512": "x86_64_v4-prefer_256_bit", "neon": "generic"}
CPU |= {"avx_vnni": CPU["avx2"], "avx512_vnni": CPU["avx512"], "neon_dot": CPU["neon"]}


@dataclass(frozen=True)
class Row:
    """One layer: microseconds (least of the repetitions), multiply-adds done (non-zero ones), bytes of the plan.

    csr_microseconds, csr_bytes: of CSR with the same weights, where ``format`` is another one; bytes: of the weight in
    a file, 0 for one that is not sparse.
    """

    layer: Layer
    count: int
    isa: str
    microseconds: float
    macs: int
    plan_bytes: int
    format: str = ""
    bytes: int = 0
    csr_microseconds: float = 0.0
    csr_bytes: int = 0

    @property
    def gmacs(self) -> float:
        """Multiply-adds a nanosecond."""
        return self.macs / self.microseconds / 1e3


def best_ns(calls: list[Callable[[], None]], seconds: float) -> list[int]:
    """The least time of each call, in turns, repeated for about ``seconds``."""
    best, turns = [0] * len(calls), 0
    for call in calls:
        call()
    end = time.perf_counter() + seconds
    while turns < 5 or time.perf_counter() < end:
        for i, call in list(enumerate(calls))[:: 1 if turns % 2 else -1]:
            start = time.perf_counter_ns()
            call()
            taken = time.perf_counter_ns() - start
            best[i] = taken if not turns else min(best[i], taken)
        turns += 1
    return best


def make_plan(kernels: Kernels, layer: Layer, weights: np.ndarray, structure: str) -> Plan:
    """A plan with these weights [out, in * taps], in that format if there is one for the layer."""
    if layer.op == "global_average_pool":
        return kernels.global_average_pool()
    bias = np.zeros(layer.out_channels, np.float32)
    window = geometry(layer.out_channels, layer.in_channels, layer.kernel, layer.stride)
    if ":" in structure:
        packed = NmWeight.of(weights, int(structure.split(":")[1]), layer.kernel**2)
        if layer.op == "csr_gemm":
            return kernels.nm_gemm(packed, bias, layer.in_channels, rows=layer.side**2)
        return kernels.nm_conv(packed, bias, window, (0, 6))
    if structure.endswith("x1"):
        return kernels.block_csr_conv(Csr.of_blocks(weights, int(structure[0])), bias, window, (0, 6))
    if layer.op == "csr_gemm":
        return kernels.csr_gemm(Csr.of(weights), bias, layer.in_channels, rows=layer.side**2)
    if layer.op == "csr_conv":
        return kernels.csr_conv(Csr.of(weights), bias, window, (0, 6))
    return kernels.dense(layer.op, weights, bias, window, (0, 6))


def measure(
    kernels: Kernels, network: str, sparsity: float, seconds: float, structure: str = "unstructured"
) -> list[Row]:
    """Every distinct layer of a network."""
    rng = np.random.default_rng(0)
    rows = []
    for layer, count in distinct(NETWORKS[network]):
        weights = random_weights(layer, sparsity, structure, rng)
        kind = format_of(layer, structure)
        plan = make_plan(kernels, layer, weights, kind)
        plans = [plan] if kind in ("", "csr") else [plan, make_plan(kernels, layer, weights, "csr")]
        pools = layer.op == "global_average_pool"
        macs = layer.dense_macs if pools else int(np.count_nonzero(weights)) * layer.out_side**2
        planes = (layer.in_channels, 1) if layer.op == "global_average_pool" else (1, layer.in_channels)
        rows_of_x = (layer.side**2, layer.in_channels)
        shape = rows_of_x if layer.op == "csr_gemm" else (*planes, layer.side, layer.side)
        x = aligned(int(np.prod(shape)) * 4).view(np.float32).reshape(shape)
        x[...] = rng.standard_normal(shape, np.float32)
        y_shape = plan.out_shape(shape)
        y = aligned(int(np.prod(y_shape)) * 4).view(np.float32).reshape(y_shape)
        times = [nanoseconds / 1e3 for nanoseconds in best_ns([one.bind(x, y) for one in plans], seconds)]
        sizes = [stored_bytes(layer, weights, one) for one in (kind, "csr")] if kind else [0, 0]
        rows.append(
            Row(layer, count, plan.isa, times[0], macs, plan.bytes, kind, sizes[0], times[-1], sizes[1])
            if kind
            else Row(layer, count, plan.isa, times[0], macs, plan.bytes)
        )
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
    compared = [row for row in rows if row.format not in ("", "csr")]
    for name in ("format", "KiB", "CSR µs", "CSR KiB") if compared else ():
        table.add_column(name)
    for row in rows:
        layer, share = row.layer, 100 * row.gmacs / limits["fma_gmacs"] if limits else float("nan")
        shape, window = f"{layer.in_channels}→{layer.out_channels}", f"{layer.kernel}/{layer.stride}"
        figures = (f"{row.microseconds:.1f}", f"{row.gmacs:.1f}", f"{share:.0f}")
        both = (row.format, f"{row.bytes / 1024:.1f}", f"{row.csr_microseconds:.1f}", f"{row.csr_bytes / 1024:.1f}")
        table.add_row(layer.op, shape, window, str(layer.side), str(row.count), *figures, *(both if compared else ()))
    console = Console(width=110)
    console.print(table)
    for op in dict.fromkeys(row.layer.op for row in rows):
        console.print(f"{op}: {sum(r.microseconds * r.count for r in rows if r.layer.op == op) / 1e3:.3f} ms")
    if compared:
        times, sizes = (
            [sum(getattr(row, prefix + of) * row.count for row in compared) for prefix in ("", "csr_")]
            for of in ("microseconds", "bytes")
        )
        console.print(f"of CSR's: {times[0] / times[1]:.3f} of the time, {sizes[0] / sizes[1]:.3f} of the bytes")
    console.print(f"sum of the layers: {sum(row.microseconds * row.count for row in rows) / 1e3:.3f} ms")
    console.print("peaks of one core: " + ", ".join(f"{name} {value:.0f}" for name, value in limits.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="mobilenet_v1")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--structure", default="unstructured", help="2x1, 4x1, or N:M, whose sparsity is 1 - N / M")
    parser.add_argument("--isa", choices=sorted(ISAS), default="best")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each layer")
    parser.add_argument("--library", type=Path, help="another build of the kernels")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    kernels = Kernels(arguments.library or library(), arguments.isa)
    structure, sparsity = arguments.structure, arguments.sparsity
    if ":" in structure:
        n, m = (int(part) for part in structure.split(":"))
        sparsity = 1 - n / m
    rows = measure(kernels, arguments.network, sparsity, arguments.seconds, structure)
    limits = peaks(kernels.available())
    show(rows, limits, f"{arguments.network} at sparsity {sparsity:g}, {structure}, {kernels.available()}, 1 thread")
    if arguments.json:
        result = {
            "context": {"network": arguments.network, "sparsity": sparsity, "structure": structure}
            | {"isa": kernels.available()},
            "peaks": limits,
            "layers": [asdict(row) | {"gmacs": row.gmacs} for row in rows],
        }
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
