"""How accurate is ResNet-20 on CIFAR-10 after pruning, by method, pattern and sparsity?

    python benchmarks/pruning.py --weights resnet20_cifar10.pt --data cifar10.npz [--methods chita_bso default]
        [--sparsities 0.5 0.7 0.8 0.9] [--structures unstructured] [--seeds 5] [--json FILE]

``--weights`` is a state dict of `ResNet20Cifar`; ``--data`` an npz with ``x_calib``, ``y_calib``, ``x_val``, ``y_val``
(uint8 NHWC images, integer labels). A seed draws the calibration images; accuracy is that on ``x_val``, with no
training. All weights but those of the shortcuts' convolutions are pruned; batch norm is recalibrated on four views.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from accuracy import accuracy
from rich.console import Console
from rich.table import Table
from torch import nn

from chita_edge.datasets import LabelledImages
from chita_edge.models import load_weights
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from chita_edge.prune_config import PruneConfig
from chita_edge.prune_methods import METHODS
from chita_edge.pruning import PATTERNS
from chita_edge.pruning_api import calibration_gradients, prune

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


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each method, pattern, sparsity and seed, and one for the dense network."""
    model = ResNet20Cifar().eval()
    load_weights(model, arguments.weights)
    source, validation = read(arguments.data)
    names = prunable(model)
    console = Console(stderr=True)
    rows: list[dict[str, Any]] = [
        {
            "method": "dense",
            "pattern": "unstructured",
            "sparsity": 0.0,
            "seed": 0,
            "accuracy": accuracy(model, validation),
        }
    ]
    for seed in range(arguments.seeds):
        chosen = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))[: arguments.images]
        calibration = LabelledImages(source.images[chosen], source.labels[chosen])
        config = PruneConfig(seed=seed, gradient_samples=None, gradient_batch=50, recalibration_views=4)
        gradients = calibration_gradients(model, calibration, names, config)
        for sparsity in arguments.sparsities:
            for structure in arguments.structures:
                for method in arguments.methods:
                    staged = METHODS[method].stages > 1
                    options = {"method": method, "sparsity": sparsity, "structure": structure}
                    options |= {"gradient_samples": 500} if staged else {}
                    result = prune(
                        model,
                        calibration,
                        config.model_copy(update=options),
                        prunable=names,
                        gradients=None if staged else gradients,
                    )
                    figures = result.figures
                    rows.append(
                        {
                            "method": method,
                            "pattern": structure,
                            "sparsity": sparsity,
                            "seed": seed,
                            "accuracy": accuracy(result.model, validation),
                            "objective": figures.objective,
                            "solver_seconds": figures.seconds["solve"] + figures.seconds.get("reconstruct", 0.0),
                        }
                    )
                    row = rows[-1]
                    console.print(
                        f"seed {seed}, {structure} {sparsity:.0%}, {method}: {row['accuracy']:.2f} %, "
                        f"objective {row['objective']:.1f}, {row['solver_seconds']:.1f} s"
                    )
    return rows


def table(rows: list[dict[str, Any]], sparsities: list[float]) -> Table:
    """Mean accuracy over the seeds by method, pattern and sparsity."""
    view = Table(title=f"ResNet-20, CIFAR-10: accuracy in %, dense {rows[0]['accuracy']:.2f}")
    for heading in ("method", "pattern", *(f"{sparsity:.0%}" for sparsity in sparsities), "solver s"):
        view.add_column(heading)
    for method, pattern in dict.fromkeys((row["method"], row["pattern"]) for row in rows[1:]):
        mine = [row for row in rows if (row["method"], row["pattern"]) == (method, pattern)]
        cells = [
            f"{mean(row['accuracy'] for row in mine if row['sparsity'] == sparsity):.2f}" for sparsity in sparsities
        ]
        view.add_row(method, pattern, *cells, f"{mean(row['solver_seconds'] for row in mine):.1f}")
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["magnitude", "chita_bso", "default"])
    parser.add_argument("--structures", nargs="+", choices=list(PATTERNS), default=["unstructured"])
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.5, 0.7, 0.8, 0.9])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments)
    Console().print(table(rows, arguments.sparsities))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
