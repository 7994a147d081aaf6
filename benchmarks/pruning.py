"""How accurate is ResNet-20 on CIFAR-10 after pruning, by method, pattern and sparsity?

    python benchmarks/pruning.py --weights resnet20_cifar10.pt --data cifar10.npz [--methods chita_bso default]
        [--sparsities 0.5 0.7 0.8 0.9] [--structures unstructured] [--seeds 5] [--first-seed 0]
        [--allocation uniform] [--curvature loss] [--json FILE]

``--weights`` is a state dict of `ResNet20Cifar`; ``--data`` an npz with ``x_calib``, ``y_calib``, ``x_val``, ``y_val``
(uint8 NHWC images, integer labels). A seed draws the calibration images; accuracy is that on ``x_val``, with no
training. All weights but those of the shortcuts' convolutions are pruned; batch norm is recalibrated on four views
where that brings the network closer to the dense one. ``solver_seconds`` are of the processor, and count solving, with
every ridge that is tried, and refitting. ``--curvature`` replaces what a method's gradients are of, see `PruneConfig`.
With ``--json`` each row is written as it is found, and a later run with the same file adds only those that are missing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from accuracy import accuracy
from labelled import loss_of
from rich.console import Console
from rich.table import Table
from torch import nn

from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import calibration_gradients, prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.methods import METHODS, curvature_kind, gradient_views, round_count
from chita_edge.models import load_weights
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from chita_edge.pruning import ALLOCATIONS, PATTERNS

MEAN = torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
STD = torch.tensor([0.2023, 0.1994, 0.2010])[:, None, None]


def read(path: Path) -> tuple[LabelledImages, LabelledImages]:
    """Calibration and validation images as the network takes them."""
    with np.load(path, allow_pickle=False) as arrays:
        return tuple(  # type: ignore[return-value]
            LabelledImages(
                (torch.from_numpy(arrays[f"x_{part}"]).permute(0, 3, 1, 2).float() / 255 - MEAN) / STD,
                torch.from_numpy(arrays[f"y_{part}"]).long(),
            )
            for part in ("calib", "val")
        )


def prunable(model: nn.Module) -> tuple[str, ...]:
    """All convolutions and the classifier, without the shortcuts."""
    return tuple(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "downsample" not in name
    )


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    """The rows that an earlier run has left in its file."""
    if path is None or not path.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return rows


def write_rows(path: Path | None, rows: list[dict[str, Any]]) -> None:
    """Replace the file, so that a kill leaves the old rows or the new ones."""
    if path is not None:
        new = path.with_name(path.name + ".new")
        new.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        new.replace(path)


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each method, pattern, sparsity and seed, and one for the dense network; earlier rows are kept."""
    model = ResNet20Cifar().eval()
    load_weights(model, arguments.weights)
    source, validation = read(arguments.data)
    names = prunable(model)
    console = Console(stderr=True)
    rows = read_rows(arguments.json)
    if not rows:
        rows.append(_row("dense", "unstructured", 0.0, 0, accuracy(model, validation)))
    done = {(row["method"], row["pattern"], row["sparsity"], row["seed"]) for row in rows}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        wanted = [
            key
            for key in itertools.product(arguments.methods, arguments.structures, arguments.sparsities, [seed])
            if (_called(key[0], arguments), *key[1:]) not in done
        ]
        chosen = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))[: arguments.images]
        calibration = LabelledImages(source.images[chosen], source.labels[chosen])
        config = PruneConfig(seed=seed, gradient_samples=None, gradient_batch=50, recalibration_views=4)
        gradients, kind = None, ("", 0)
        for method, structure, sparsity, _ in wanted:
            options = {
                "method": method,
                "sparsity": sparsity,
                "structure": structure,
                "allocation": arguments.allocation,
            }
            options |= {"loss": loss_of(method)} if arguments.curvature is None else {"curvature": arguments.curvature}
            how = config.model_copy(update=options)
            staged = round_count(how) > 1
            wanted_kind = curvature_kind(how), gradient_views(how)
            if not staged and (gradients is None or kind != wanted_kind):
                gradients, kind = None, wanted_kind  # the old ones go first
                gradients = calibration_gradients(model, calibration, names, how)
            result = prune(
                model,
                calibration,
                how,
                prunable=names,
                gradients=None if staged else gradients,
                clock=time.process_time,
            )
            figures = result.figures
            seconds = figures.seconds["solve"] + figures.seconds.get("reconstruct", 0.0)
            score = accuracy(result.model, validation)
            called = _called(method, arguments)
            rows.append(_row(called, structure, sparsity, seed, score, figures.objective, seconds))
            write_rows(arguments.json, rows)
            console.print(
                f"seed {seed}, {structure} {sparsity:.0%}, {called}: {score:.2f} %, "
                f"objective {_number(figures.objective)}, {seconds:.1f} s"
            )
    return rows


def _called(method: str, arguments: argparse.Namespace) -> str:
    """What the rows call it: budgets other than the global one are named, and gradients other than its own."""
    others = [arguments.allocation] * (arguments.allocation != "global") + [arguments.curvature or ""]
    return ", ".join(filter(None, [method, *others]))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def _row(
    method: str,
    pattern: str,
    sparsity: float,
    seed: int,
    accuracy: float,
    objective: float | None = None,
    solver_seconds: float | None = None,
) -> dict[str, Any]:
    return {
        "method": method,
        "pattern": pattern,
        "sparsity": sparsity,
        "seed": seed,
        "accuracy": accuracy,
        "objective": objective,
        "solver_seconds": solver_seconds,
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """Mean accuracy over the seeds by method, pattern and sparsity."""
    dense, *pruned = rows
    sparsities = sorted({row["sparsity"] for row in pruned})
    view = Table(title=f"ResNet-20, CIFAR-10: accuracy in %, dense {dense['accuracy']:.2f}")
    for heading in ("method", "pattern", *(f"{sparsity:.0%}" for sparsity in sparsities), "seeds", "solver s"):
        view.add_column(heading)
    for method, pattern in dict.fromkeys((row["method"], row["pattern"]) for row in pruned):
        mine = [row for row in pruned if (row["method"], row["pattern"]) == (method, pattern)]
        scores = [[row["accuracy"] for row in mine if row["sparsity"] == sparsity] for sparsity in sparsities]
        cells = [f"{mean(found):.2f}" if found else "" for found in scores]
        seeds = str(len({row["seed"] for row in mine}))
        view.add_row(method, pattern, *cells, seeds, f"{mean(row['solver_seconds'] for row in mine):.1f}")
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["magnitude", "chita_bso", "default"])
    parser.add_argument("--structures", nargs="+", choices=list(PATTERNS), default=["unstructured"])
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.5, 0.7, 0.8, 0.9])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--allocation", choices=list(ALLOCATIONS), default="global")
    parser.add_argument(
        "--curvature", choices=["loss", "logits"], help="what gradients are of; by default the method's"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments)
    Console().print(table(rows))


if __name__ == "__main__":
    main()
