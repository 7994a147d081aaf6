"""How accurate is the embedded MobileNet after pruning, by method and sparsity?

    python benchmarks/accuracy.py [--sparsities 0.8 0.9] [--methods magnitude default]
        [--allocations balanced global] [--seeds 3] [--json FILE]

A seed draws the calibration images; budgets are shared among layers as ``--allocations`` says. Accuracy is that on the
10,000 test images, which no part of pruning sees. Batch norm is recalibrated, on the same images, or left as it is, by
what brings the network closer to the dense one on the calibration images; likewise for every method.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from labelled import loss_of
from rich.console import Console
from rich.table import Table
from torch import nn

from chita_edge.calibration import GradientMatrix
from chita_edge.datasets import LabelledImages, load
from chita_edge.engine.api import calibration_gradients, prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.methods import METHODS, curvature_kind, gradient_views, round_count
from chita_edge.models import get_model, load_weights
from chita_edge.pruning import ALLOCATIONS

BATCH = 200


def accuracy(model: nn.Module, data: LabelledImages) -> float:
    """Percentage of right answers."""
    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(images).argmax(1) == labels).sum())
            for images, labels in zip(data.images.split(BATCH), data.labels.split(BATCH), strict=True)
        )
    return 100 * right / len(data)


def measure(
    methods: list[str], allocations: list[str], sparsities: list[float], seeds: int, images: int
) -> list[dict[str, Any]]:
    """One row for each method, allocation, sparsity and seed, and one for the dense network."""
    entry = get_model("mobilenet")
    assert entry.dataset is not None and entry.embedded_weights is not None
    model = entry.architecture().eval()
    load_weights(model, entry.embedded_weights)
    data = load(entry.dataset)
    test = data.test()
    names = entry.prunable(model)
    rows: list[dict[str, Any]] = [{"method": "dense", "sparsity": 0.0, "seed": 0, "accuracy": accuracy(model, test)}]
    console = Console(stderr=True)
    for seed in range(seeds):
        calibration = data.calibration(images, seed)
        config = PruneConfig(seed=seed)
        gradients: dict[tuple[str, int], GradientMatrix] = {}
        for sparsity, allocation, method in itertools.product(sparsities, allocations, methods):
            choice = {"method": method, "allocation": allocation, "sparsity": sparsity}
            wanted = config.model_copy(update={**choice, "loss": loss_of(method)})
            kind = curvature_kind(wanted), gradient_views(wanted)
            staged = round_count(wanted) > 1
            if not staged and kind not in gradients:
                gradients[kind] = calibration_gradients(model, calibration, names, wanted)
            started = time.perf_counter()
            known = None if staged else gradients.get(kind)
            result = prune(model, calibration, wanted, prunable=names, gradients=known)
            seconds = time.perf_counter() - started
            score = accuracy(result.model, test)
            rows.append({**choice, "seed": seed, "accuracy": score, "seconds": seconds})
            console.print(f"seed {seed}, {sparsity:.0%}, {allocation}, {method}: {score:.2f} %, {seconds:.0f} s")
    return rows


def table(rows: list[dict[str, Any]], methods: list[str], allocations: list[str], sparsities: list[float]) -> Table:
    """Mean accuracy, with the least and the largest, by method and sparsity."""
    view = Table(title=f"MobileNetV1 0.5, 96×96, Fashion-MNIST: test accuracy in %, dense {rows[0]['accuracy']:.2f}")
    view.add_column("budgets")
    view.add_column("method")
    for sparsity in sparsities:
        view.add_column(f"{sparsity:.0%}", justify="right")
    view.add_column("s", justify="right")
    for allocation, method in itertools.product(allocations, methods):
        mine = [row for row in rows if (row["method"], row.get("allocation")) == (method, allocation)]
        cells = []
        for sparsity in sparsities:
            scores = [row["accuracy"] for row in mine if row["sparsity"] == sparsity]
            cells.append(f"{mean(scores):.2f} ({min(scores):.2f} to {max(scores):.2f})")
        view.add_row(allocation, method, *cells, f"{mean(row['seconds'] for row in mine):.0f}")
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.8, 0.9, 0.95])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["magnitude", "chita_bso", "default"])
    parser.add_argument("--allocations", nargs="+", choices=list(ALLOCATIONS), default=["balanced"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--calibration-images", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    methods, allocations, sparsities = arguments.methods, arguments.allocations, arguments.sparsities
    rows = measure(methods, allocations, sparsities, arguments.seeds, arguments.calibration_images)
    Console().print(table(rows, methods, allocations, sparsities))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
