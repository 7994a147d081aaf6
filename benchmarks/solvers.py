"""How long does each solver take on ResNet-20, gradients given, and how low is its objective?

    python benchmarks/solvers.py --weights resnet20_cifar10.pt --data cifar10.npz [--sparsity 0.8]
        [--solvers chita_bso chita cbs …] [--rounds 1] [--json FILE]

One thread; the solvers take turns, and times are of the processor. Q is the objective of the whole quadratic; the
block objective is that with the Hessian of blocks of 500 weights, which the block solvers minimise. ``woodfisher_full``
cannot hold all weights' inverse: it is timed on the first ``--subset`` weights and scaled by p², and has no objective.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from pruning import prunable, read
from rich.console import Console
from rich.table import Table

from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import calibration_gradients
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.gradients import mean_curvature
from chita_edge.models import load_weights
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from chita_edge.pruning import SOLVERS, Constraint, Layer, Problem, get_pattern, get_solver
from chita_edge.pruning.search.blocks import walk_blocks

FULL = "woodfisher_full"


def problem_of(arguments: argparse.Namespace) -> Problem:
    """The quadratic of the first images, with the ridge that `prune` uses."""
    model = ResNet20Cifar().eval()
    load_weights(model, arguments.weights)
    source, _ = read(arguments.data)
    images = LabelledImages(source.images[: arguments.images], source.labels[: arguments.images])
    names = prunable(model)
    config = PruneConfig(loss="cross_entropy", gradient_samples=None, gradient_batch=50)
    gradients = calibration_gradients(model, images, names, config)
    layers = tuple(Layer(name, model.get_parameter(name).detach(), gradients.blocks[name]) for name in names)
    return Problem(layers, config.ridge * mean_curvature(layers))


def block_objective(problem: Problem, weights: torch.Tensor) -> float:
    """Q with a block-diagonal Hessian."""
    step = weights - problem.dense
    squares = sum(
        float(torch.mv(columns.T, step[where]).double().square().sum()) for where, columns in walk_blocks(problem, 500)
    )
    return 0.5 * (squares + problem.damping * float(step.double().square().sum()))


def first_weights(problem: Problem, count: int) -> Problem:
    """The quadratic of the first so many weights alone."""
    columns = torch.cat([layer.gradients[: layer.weight.numel()] for layer in problem.layers[:4]])[:count]
    return Problem((Layer("subset", problem.dense[:count].view(1, count), columns.contiguous()),), problem.ridge)


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a solver: the least of its times, and its objectives."""
    problem = problem_of(arguments)
    console = Console(stderr=True)
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(arguments.rounds):
        for name in arguments.solvers:
            task, scale = problem, 1.0
            if name == FULL:
                task = first_weights(problem, arguments.subset)
                scale = (len(problem.dense) / arguments.subset) ** 2
            kept = round(len(task.dense) * (1 - arguments.sparsity))
            constraint = Constraint(get_pattern("unstructured"), task.shapes, kept)
            started = time.process_time()
            solution = get_solver(name).solve(task, constraint)
            seconds = scale * (time.process_time() - started)
            known = rows.get(name)
            rows[name] = {
                "solver": name,
                "sparsity": arguments.sparsity,
                "seconds": seconds if known is None else min(seconds, known["seconds"]),
                "extrapolated": name == FULL,
                "objective": None if name == FULL else solution.objective,
                "block_objective": None if name == FULL else block_objective(task, solution.weights),
            }
            console.print(rows[name])
    return list(rows.values())


def table(rows: list[dict[str, Any]]) -> Table:
    """Times, ratios to the first solver's, and objectives."""
    view = Table(title=f"ResNet-20 at {rows[0]['sparsity']:.0%}, gradients given")
    for heading in ("solver", "CPU s", f"× {rows[0]['solver']}", "Q", "block Q"):
        view.add_column(heading)
    for row in rows:
        values = ["" if row[key] is None else f"{row[key]:.1f}" for key in ("objective", "block_objective")]
        seconds = f"{row['seconds']:.1f}" + (" (extrapolated)" if row["extrapolated"] else "")
        view.add_row(row["solver"], seconds, f"{row['seconds'] / rows[0]['seconds']:.1f}", *values)
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--solvers", nargs="+", choices=list(SOLVERS), default=["chita_bso", *SOLVERS])
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--subset", type=int, default=4000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.solvers = list(dict.fromkeys(arguments.solvers))
    rows = measure(arguments)
    Console().print(table(rows))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
