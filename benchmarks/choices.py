"""Which of two networks is kept by plain KL, and which by KL at the pruned network's best temperature?

    python benchmarks/choices.py [--model watch-activity] [--methods magnitude chita_bso default]
        [--sparsities 0.8 0.9 0.95] [--seeds 2] [--calibration-images 1000] [--threads 2] [--json FILE]

An embedded network is pruned without recalibration of batch norm, and the result is recalibrated beside it. Both rules
compare the two with the dense network on the calibration samples; the better one is that of the higher accuracy on the
test samples, which no part of pruning sees.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import torch
from labelled import loss_of
from rich.console import Console
from rich.table import Table
from torch import nn

from chita_edge.deploy.judge import Judge
from chita_edge.deploy.load import load_inputs
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.threads import torch_threads
from chita_edge.models import get_model
from chita_edge.network.batch import copy_network, output_tensors
from chita_edge.network.inputs import Batch, call
from chita_edge.network.objective import Objective, find_objective
from chita_edge.network.tempered import tempered_kl
from chita_edge.tuning import infer_training_augmentation, recalibrate_batch_norm


def distances(model: nn.Module, dense: nn.Module, samples: Batch, objective: Objective) -> tuple[float, float]:
    """Plain KL and tempered KL of class logits."""
    with torch.no_grad():
        found, known = (output_tensors(call(net, samples), len(samples)) for net in (model, dense))
    (kind,) = objective.outputs
    plain = float(objective.distance(found, known))
    return plain, tempered_kl(kind.rows(found[0]), kind.rows(known[0]))


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each method, sparsity and seed."""
    entry, rows, console = get_model(arguments.model), list[dict[str, Any]](), Console(stderr=True)
    for seed in range(arguments.seeds):
        inputs = load_inputs(entry, weights=None, data=None, calibration_images=arguments.calibration_images, seed=seed)
        assert inputs.validation is not None
        judge, dense = Judge.of(inputs.model, inputs.validation), inputs.model
        objective = find_objective(dense, inputs.images, inputs.labels)
        known = infer_training_augmentation(dense, inputs.images, objective=objective, seed=seed)
        for method, sparsity in itertools.product(arguments.methods, arguments.sparsities):
            config = PruneConfig(
                method=method,
                sparsity=sparsity,
                loss=loss_of(method),
                seed=seed,
                threads=arguments.threads,
                recalibration_views=0,
            )
            left = prune(dense, inputs.calibration, config, prunable=entry.prunable(dense)).model
            other = copy_network(left)
            recalibrate_batch_norm(other, inputs.images, views=4, augmentation=known, seed=seed)
            each = [distances(net, dense, inputs.images, objective) for net in (left, other)]
            accuracies = [judge.network(net) for net in (left, other)]
            row = {
                "method": method,
                "sparsity": sparsity,
                "seed": seed,
                "accuracy": accuracies,
                "plain": [one[0] for one in each],
                "tempered": [one[1] for one in each],
            }
            rows.append(row)
            console.print(json.dumps(row))
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Accuracy of both networks and of what each rule keeps."""
    view = Table(title="Test accuracy in %, of the network as it is, recalibrated, and as each rule chooses")
    for heading in ("method", "zeros", "seed", "as it is", "recalibrated", "by plain KL", "by tempered KL"):
        view.add_column(heading, justify="left" if heading == "method" else "right")
    for row in rows:
        chosen = [row["accuracy"][int(row[rule][1] < row[rule][0])] for rule in ("plain", "tempered")]
        figures = (f"{100 * figure:.2f}" for figure in (*row["accuracy"], *chosen))
        view.add_row(row["method"], f"{row['sparsity']:.0%}", str(row["seed"]), *figures)
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="watch-activity")
    parser.add_argument("--methods", nargs="+", default=["magnitude", "chita_bso", "default"])
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.8, 0.9, 0.95])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--calibration-images", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with torch_threads(arguments.threads):
        rows = measure(arguments)
    Console().print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
