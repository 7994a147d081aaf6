"""What do labels, or a loss of one's own, gain over pruning without labels?

    python benchmarks/objectives.py [--models mobilenet watch-activity] [--sparsity 0.8] [--seeds 3]
        [--calibration-images 1000] [--test-images N] [--threads 2] [--json FILE]

Each embedded network is pruned by the default method with gradients of four objectives: cross-entropy with labels; the
outputs, class logits measured by KL, without labels; the outputs, every logit alike, without labels; and a loss of
one's own, cross-entropy of labels smoothed by a tenth. A seed draws the calibration samples. Accuracy is that on the
test samples, which no part of pruning sees.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from chita_edge.deploy.judge import Judge
from chita_edge.deploy.load import load_inputs
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.threads import torch_threads
from chita_edge.models import get_model


def smoothed(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, one value a sample, of labels of which every class has a share of a tenth."""
    return functional.cross_entropy(outputs, labels, reduction="none", label_smoothing=0.1)


OBJECTIVES: dict[str, tuple[dict[str, Any], Any]] = {
    "labels": ({"loss": "cross_entropy"}, None),
    "none": ({"curvature": "outputs"}, None),
    "none, logits alike": ({"curvature": "logits"}, None),
    "own loss": ({}, smoothed),
}


def measure(name: str, arguments: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """One row for each objective and seed, and one for the dense network."""
    entry = get_model(name)
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        inputs = load_inputs(entry, weights=None, data=None, calibration_images=arguments.calibration_images, seed=seed)
        assert inputs.validation is not None
        judge = Judge.of(inputs.model, inputs.validation[: arguments.test_images])
        if not seed:
            rows.append({"model": name, "objective": "dense", "seed": 0, "accuracy": judge.network(inputs.model)})
        for objective, (options, loss) in OBJECTIVES.items():
            if objective not in arguments.objectives:
                continue
            config = PruneConfig(sparsity=arguments.sparsity, seed=seed, threads=arguments.threads, **options)
            started = time.perf_counter()
            result = prune(inputs.model, inputs.calibration, config, prunable=entry.prunable(inputs.model), loss=loss)
            seconds = time.perf_counter() - started
            score = judge.network(result.model)
            rows.append({"model": name, "objective": objective, "seed": seed, "accuracy": score, "seconds": seconds})
            console.print(f"{name}, seed {seed}, {objective}: {score:.2%}, {seconds:.0f} s")
    return rows


def table(rows: list[dict[str, Any]], sparsity: float) -> Table:
    """Mean accuracy, with the least and the largest, by network and objective."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    view = Table(title=f"Test accuracy in % at {sparsity:.0%} zeros")
    objectives = list(dict.fromkeys(row["objective"] for row in rows))
    for heading in ("network", *objectives):
        view.add_column(heading, justify="left" if heading == "network" else "right")
    for model in models:
        cells = []
        for objective in objectives:
            mine = (row for row in rows if (row["model"], row["objective"]) == (model, objective))
            scores = [100 * row["accuracy"] for row in mine]
            spread = f" ({min(scores):.2f} to {max(scores):.2f})" if len(scores) > 1 else ""
            cells.append(f"{mean(scores):.2f}{spread}")
        view.add_row(model, *cells)
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["mobilenet", "watch-activity"])
    parser.add_argument("--objectives", nargs="+", choices=list(OBJECTIVES), default=list(OBJECTIVES))
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--calibration-images", type=int, default=1000)
    parser.add_argument("--test-images", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console, rows = Console(stderr=True), list[dict[str, Any]]()
    with torch_threads(arguments.threads):
        for name in arguments.models:
            rows += measure(name, arguments, console)
    Console().print(table(rows, arguments.sparsity))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
