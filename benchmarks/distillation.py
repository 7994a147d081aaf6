"""How accurate is ResNet-20 on CIFAR-10 when the pruned network learns the dense one's answers?

    python benchmarks/distillation.py --weights resnet20_cifar10.pt --data cifar10.npz --json FILE
        [--sparsities 0.9 0.8 0.7 0.5] [--seeds 5] [--epochs 20] [--seconds S] [--threads 2]

Each row prunes with the default method and distils on the same 1,000 images of ``x_calib``, without labels; accuracy is
that on ``x_val``. ``seconds`` is all the time that pruning and distillation took on ``--threads`` threads,
``cpu_seconds`` the processor time of that, which other programs on the machine change less. Rows already in FILE are
kept, so that the command can be stopped and run again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from accuracy import accuracy
from rich.console import Console
from rich.table import Table

from chita_edge import PruneConfig, prune
from chita_edge.deploy.load import load_inputs
from chita_edge.models import get_model

METHOD = "default, distilled"


def measure(arguments: argparse.Namespace, sparsity: float, seed: int) -> dict[str, Any]:
    """One row."""
    before = sum(os.times()[:2])
    entry = get_model("resnet20_cifar")
    inputs = load_inputs(
        entry, weights=arguments.weights, data=arguments.data, calibration_images=arguments.images, seed=seed
    )
    config = PruneConfig(
        sparsity=sparsity,
        loss="cross_entropy",
        seed=seed,
        distill_epochs=arguments.epochs,
        distill_seconds=arguments.seconds,
    )
    result = prune(inputs.model, inputs.calibration, config, prunable=entry.prunable(inputs.model))
    cpu = sum(os.times()[:2]) - before
    assert inputs.validation is not None
    spent = result.figures.seconds
    return {
        "method": METHOD,
        "pattern": config.structure,
        "sparsity": sparsity,
        "seed": seed,
        "accuracy": accuracy(result.model, inputs.validation),
        "objective": result.figures.objective,
        "solver_seconds": spent["solve"] + spent["reconstruct"],
        "seconds": sum(spent.values()),
        "distill_seconds": spent["distill"],
        "cpu_seconds": cpu,
        "epochs": result.figures.distilled_epochs,
        "threads": arguments.threads,
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """Mean accuracy over the seeds by sparsity."""
    view = Table(title="ResNet-20, CIFAR-10, default method, distilled on the calibration images")
    for heading in ("sparsity", "seeds", "accuracy, %", "epochs", "seconds in all", "of CPU", "seconds distilling"):
        view.add_column(heading, justify="right")
    for sparsity in sorted({row["sparsity"] for row in rows}):
        mine = [row for row in rows if row["sparsity"] == sparsity]
        means = (
            mean(row[key] for row in mine)
            for key in ("accuracy", "epochs", "seconds", "cpu_seconds", "distill_seconds")
        )
        accurate, epochs, *times = means
        view.add_row(
            f"{sparsity:.0%}",
            str(len(mine)),
            f"{accurate:.2f}",
            f"{epochs:.0f}",
            *(f"{seconds:.0f}" for seconds in times),
        )
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.9, 0.8, 0.7, 0.5])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seconds", type=float, help="limit of the distillation")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = json.loads(arguments.json.read_text())["rows"] if arguments.json.exists() else []
    known = {(row["method"], row["sparsity"], row["seed"]) for row in rows}
    for seed in range(arguments.seeds):
        for sparsity in arguments.sparsities:
            if (METHOD, sparsity, seed) in known:
                continue
            rows.append(measure(arguments, sparsity, seed))
            partial = arguments.json.with_suffix(".part")
            partial.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
            partial.replace(arguments.json)
            Console(stderr=True).print(f"seed {seed}, {sparsity:.0%}: {rows[-1]['accuracy']:.2f} %")
    Console().print(table([row for row in rows if row["method"] == METHOD]))


if __name__ == "__main__":
    main()
