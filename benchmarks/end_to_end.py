"""How much faster is the sparse file than ONNX Runtime's dense float32, whole network, batch 1?

    python benchmarks/end_to_end.py [--network mobilenet] [--sparsity 0.8] [--threads 1] [--json FILE]

Dense and sparse run interleaved in one process, the sparse one once for each instruction set that this processor has.
``mobilenet`` is the embedded network, pruned by magnitude; ``mobilenet_v1`` is width 1.0 at 224×224 with random weights
and random zeros in the 1×1 convolutions and the classifier. How many weights are zero decides the time, hardly which.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import device_bench
import exporters
import runtimes
from chita_edge.deploy.decide import decide_for
from chita_edge.models import get_model, load_weights
from device_bench.judging.stats import median_ratio, quantile
from device_bench.sampling.interleave import interleave

NETWORKS = ("mobilenet", "mobilenet_v1")
SPARSITIES = (0.7, 0.8, 0.9, 0.95)


def network_with_zeros(name: str, sparsity: float) -> nn.Module:
    """The network with that share of zeros in each prunable weight: the smallest if trained, random ones if not."""
    torch.manual_seed(0)
    entry = get_model(name)
    model = entry.architecture().eval()
    if entry.embedded_weights is not None:
        load_weights(model, entry.embedded_weights)
    prunable = set(entry.prunable(model))
    with torch.no_grad():
        for parameter_name, weight in model.named_parameters():
            if parameter_name in prunable:
                score = weight.abs() if entry.embedded_weights is not None else torch.rand_like(weight)
                zeros = score.flatten().argsort()[: round(weight.numel() * sparsity)]
                weight.view(-1)[zeros] = 0
    return model


def measure(name: str, sparsity: float, threads: int, samples: int, target: str) -> list[dict[str, Any]]:
    """One row for each instruction set."""
    shape = get_model(name).input_shape
    dense = exporters.to_onnx(network_with_zeros(name, sparsity), torch.zeros(1, *shape))
    sparse = exporters.to_sparse(
        dense, decide_for(runtimes.get_target(target), dense), cache_bytes=runtimes.get_target(target).cache
    )
    isas = [isa for isa in ("avx512", "avx2", "neon") if isa in runtimes.isas()] or [runtimes.host_isa()]
    sessions = {"dense": runtimes.dense_session(exporters.to_bytes(dense), threads=threads)}
    sessions |= {isa: runtimes.session(exporters.to_bytes(sparse.model), threads=threads, isa=isa) for isa in isas}
    feed = {"input": np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)}
    runs = {key: (lambda session=session: session.run(None, feed)) for key, session in sessions.items()}
    series = interleave(runs, device_bench.BenchPlan(samples=samples))
    milliseconds = {key: np.asarray(one.samples_ns) / 1e6 for key, one in series.items()}
    rows = []
    for isa in isas:
        ratio = median_ratio(milliseconds["dense"], milliseconds[isa], paired=True)
        rows.append(
            {
                "network": name,
                "sparsity": sparsity,
                "threads": threads,
                "isa": isa,
                "ms": quantile(milliseconds[isa], 0.5),
                "ms_min": float(milliseconds[isa].min()),
                "ort_dense_ms": quantile(milliseconds["dense"], 0.5),
                "ort_dense_ms_min": float(milliseconds["dense"].min()),
                "ratio": ratio.estimate,
                "ratio_low": ratio.low,
                "ratio_high": ratio.high,
                "samples": samples,
                "sparse_layers": sum(layer.format.startswith("csr") for layer in sparse.layers),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--sparsity", type=float, action="append")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--target", default="x86_64", help="whose break-even decides which layers become sparse")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [
        row
        for name in arguments.network or NETWORKS
        for sparsity in arguments.sparsity or SPARSITIES
        for row in measure(name, sparsity, arguments.threads, arguments.samples, arguments.target)
    ]
    table = Table(title=f"Whole network, batch 1, {arguments.threads} thread(s), {arguments.samples} samples each")
    for heading in ("network", "sparsity", "kernels", "sparse ms", "ORT dense ms", "times as fast", "95 % interval"):
        table.add_column(heading, justify="left" if heading in ("network", "kernels") else "right")
    for row in rows:
        table.add_row(
            row["network"],
            f"{row['sparsity']:.0%}",
            row["isa"],
            f"{row['ms']:.3f}",
            f"{row['ort_dense_ms']:.3f}",
            f"{row['ratio']:.2f}",
            f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}",
        )
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
