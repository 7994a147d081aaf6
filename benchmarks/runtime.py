"""How much faster is each sparse network than ONNX Runtime's dense float32? Batch 1, all in one process, interleaved.

    python benchmarks/runtime.py [--network mobilenet_v1] [--sparsity 0.9] [--threads 1] [--isa avx2] [--json FILE]
    python benchmarks/runtime.py --structure 4x1 …    the same zeros in blocks too, in turns with CSR
    python benchmarks/runtime.py --dtype int8 [--structure 2x4] [--sparsity 0.75] [--memory] …

Dense: stock ONNX Runtime with all its optimisations, on the same weights with their zeros. Each sample of either
follows an untimed run of the same session. Ratio: median over the samples of dense time / sparse time taken in the
same round, with its 95 % interval. ``--layers all`` makes every prunable layer sparse instead of those that pay by the
cost model. Afterwards each layer alone: GMAC/s of non-zero work, beside what a core of this machine can do at most.

int8: networks that ``quantize_static`` rounds (uint8 activations, int8 weights a channel, QDQ), dense and with zeros in
blocks of four input channels, in turns with ONNX Runtime's float32 of the same weights and its int8 of the same
integers; how many outputs differ from the latter's, the time to make a session, and with --memory what one holds.
With --processor-time, times are those of the thread alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from int8_networks import STRUCTURES
from int8_runtime import ROWS as INT8_ROWS
from int8_runtime import int8_table, measure_int8
from kernels import measure, peaks, show
from networks import NETWORKS, dense_network, input_shape
from profile_layers import all_sparse
from rich.console import Console
from rich.table import Table

import device_bench
import exporters
import runtimes
from chita_edge.deploy.decide import decide_for
from device_bench.judging.stats import median_ratio, quantile, spread
from device_bench.sampling.context import cpu_name
from device_bench.sampling.interleave import interleave
from runtimes.bindings import Kernels

NAMED = ("mobilenet_v1", "mobilenet_v2", "resnet50", "resnet20_cifar")
SPARSITIES = (0.7, 0.8, 0.9, 0.95)


def measure_network(
    name: str, sparsity: float, threads: int, isa: str, samples: int, target: str | None, block_rows: int = 1
) -> dict[str, Any]:
    """One row: median and least milliseconds, the ratio with its interval, the spread of both (IQR / median).

    ``target``: whose cost model decides which layers become sparse; None: all. ``block_rows``: zeros in
    blocks of so many output channels; then "csr_ms" and "to_csr" say what as many zeros without blocks take.
    """
    dense = dense_network(name, sparsity, block_rows=block_rows)
    sparse = _sparse(dense, target)
    sessions = {
        "dense": runtimes.dense_session(exporters.to_bytes(dense), threads=threads),
        "sparse": runtimes.session(exporters.to_bytes(sparse.model), threads=threads, isa=isa),
    }
    if block_rows > 1:
        plain = _sparse(dense_network(name, sparsity), target)
        sessions["csr"] = runtimes.session(exporters.to_bytes(plain.model), threads=threads, isa=isa)
    feed = {"input": np.random.default_rng(0).standard_normal((1, *input_shape(name))).astype(np.float32)}
    outputs = {key: session.run(None, feed)[0] for key, session in sessions.items()}
    runs = {key: (lambda session=session: session.run(None, feed)) for key, session in sessions.items()}
    series = interleave(runs, device_bench.BenchPlan(samples=samples, threads=threads))
    ms = {key: np.asarray(one.samples_ns) / 1e6 for key, one in series.items()}
    ratio = median_ratio(ms["dense"], ms["sparse"], paired=True)
    to_csr = median_ratio(ms["csr"], ms["sparse"], paired=True) if block_rows > 1 else None
    return {
        "network": name,
        "structure": "unstructured" if to_csr is None else f"{block_rows}x1",
        **({} if to_csr is None else {"csr_ms": quantile(ms["csr"], 0.5), "to_csr": to_csr.estimate}),
        "sparsity": sparsity,
        "threads": threads,
        "isa": isa,
        "ms": quantile(ms["sparse"], 0.5),
        "ort_dense_ms": quantile(ms["dense"], 0.5),
        "ratio": ratio.estimate,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "ms_min": float(ms["sparse"].min()),
        "ort_dense_ms_min": float(ms["dense"].min()),
        "spread": spread(ms["sparse"]),
        "ort_dense_spread": spread(ms["dense"]),
        "samples": samples,
        "sparse_layers": sum(layer.format.startswith("csr") for layer in sparse.layers),
        "layers": len(sparse.layers),
        "relative_difference": exporters.relative_difference(outputs["sparse"], outputs["dense"]),
    }


def _sparse(dense: onnx.ModelProto, target: str | None) -> exporters.SparseModel:
    decide = all_sparse if target is None else decide_for(runtimes.get_target(target), dense)
    return exporters.to_sparse(dense, decide, cache_bytes=runtimes.get_target(target or "x86_64").cache)


def table_of(rows: list[dict[str, Any]]) -> Table:
    """The rows for a reader."""
    table = Table(title="Whole network, batch 1, ratio to ONNX Runtime's dense float32")
    for heading in (
        "network",
        "zeros",
        "sparsity",
        "threads",
        "isa",
        "sparse layers",
        "ms",
        "± %",
        "ORT dense ms",
        "± %",
    ):
        table.add_column(heading, justify="left" if heading in ("network", "zeros", "isa") else "right")
    table.add_column("ratio (95 % interval)", justify="right")
    table.add_column("to CSR", justify="right")
    for row in rows:
        table.add_row(
            row["network"],
            row["structure"],
            f"{row['sparsity']:.0%}",
            str(row["threads"]),
            row["isa"],
            f"{row['sparse_layers']}/{row['layers']}",
            f"{row['ms']:.3f}",
            f"{100 * row['spread']:.0f}",
            f"{row['ort_dense_ms']:.3f}",
            f"{100 * row['ort_dense_spread']:.0f}",
            f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})",
            f"{row['to_csr']:.2f}" if "to_csr" in row else "",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), action="append")
    parser.add_argument("--sparsity", type=float, action="append")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--isa", choices=runtimes.isas(), action="append", help="hides better ones; default: the best")
    parser.add_argument("--dtype", choices=("float32", "int8"), default="float32")
    parser.add_argument("--structure", choices=("unstructured", "2x1", "4x1", *STRUCTURES), default="unstructured")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--target", default="x86_64", choices=sorted(runtimes.TARGETS), help="whose cost model decides")
    parser.add_argument("--layers", choices=("model", "all"), default="model")
    parser.add_argument("--seconds", type=float, default=0.05, help="for each layer alone; 0 leaves that table out")
    parser.add_argument("--memory", action="store_true", help="resident memory of sessions too (int8)")
    parser.add_argument("--processor-time", action="store_true", help="for a machine with other work (int8, 1 thread)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.processor_time and set(arguments.threads or (1,)) != {1}:
        parser.error("--processor-time is that of one thread")
    if arguments.dtype == "int8":
        measure_all_int8(arguments)
        return
    if arguments.structure in STRUCTURES:
        parser.error(f"--structure {arguments.structure} is for --dtype int8")
    target = None if arguments.layers == "all" else arguments.target
    block_rows = 1 if arguments.structure == "unstructured" else int(arguments.structure[0])
    console = Console(width=140)
    rows = []
    for name in arguments.network or NAMED:
        for sparsity in arguments.sparsity or SPARSITIES:
            for threads in arguments.threads or (1,):
                for isa in arguments.isa or (runtimes.host_isa(),):
                    rows.append(measure_network(name, sparsity, threads, isa, arguments.samples, target, block_rows))
                    console.print(f"{name} {sparsity:.0%} {threads} {isa}: {rows[-1]['ratio']:.2f}", style="dim")
    console.print(table_of(rows))
    for isa in arguments.isa or (runtimes.host_isa(),):
        if arguments.seconds <= 0:
            break
        limits = peaks(isa)
        for name in arguments.network or NAMED:
            for sparsity in arguments.sparsity or SPARSITIES:
                found = measure(Kernels(runtimes.library(), isa), name, sparsity, arguments.seconds)
                show(found, limits, f"{name} at sparsity {sparsity}, {isa}, 1 thread, each layer alone")
    write_rows(arguments.json, rows)


def measure_all_int8(arguments: argparse.Namespace) -> None:
    """The table of int8 networks."""
    console = Console(width=200)
    wanted = [] if arguments.structure not in STRUCTURES else [(arguments.structure, 0.75)]
    if arguments.sparsity:
        structures = [arguments.structure] if wanted else ["1x4"]
        wanted = [(structure, sparsity) for structure in structures for sparsity in arguments.sparsity]
    rows = []
    for name in arguments.network or NAMED:
        for structure, sparsity in wanted or INT8_ROWS:
            for threads in arguments.threads or (1,):
                for isa in arguments.isa or (runtimes.host_isa(),):
                    how = (threads, isa, arguments.samples, arguments.target)
                    extra = {"memory": arguments.memory, "processor_time": arguments.processor_time}
                    rows.append(measure_int8(name, structure, sparsity, *how, **extra))
                    to = [f"{rows[-1][key]['ratio']:.2f}" for key in ("to_float32", "to_int8")]
                    console.print(f"{name} {structure} {sparsity:.0%} {threads} {isa}: {to[0]} ({to[1]})", style="dim")
                    write_rows(arguments.json, rows)
    console.print(int8_table(rows, cpu_name() or "unknown processor"))


def write_rows(path: Path | None, rows: list[dict[str, Any]]) -> None:
    """Write the rows and what processor they are of, where a file is asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"processor": cpu_name(), "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
