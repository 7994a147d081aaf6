"""What does equalising channels first do to float32 pruning, by structure, on a network with and without bad scales?

    python benchmarks/equalisation.py --weights resnet20_cifar10.pt --data cifar10.npz --json FILE
        [--structures unstructured 1x4 2:4] [--methods reconstruct] [--seeds 3] [--sparsity 0.75]

ResNet-20 on CIFAR-10, as it is and with the inner channels of its blocks rescaled by 2^U(−3, 3), which leaves its
function the same. 1,000 calibration images a seed, no labels; N:M have the sparsity that their name says. Each row is
written as it is found; a later run with the same file adds those that are missing.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from statistics import mean
from typing import Any

from int8_accuracy import rescale, resnet20
from int8_evaluation import accuracy
from pruning import read_rows, write_rows
from rich.console import Console
from rich.table import Table

import chita_edge


def sparsity_of(structure: str, asked: float) -> float:
    """The share of zeros: N:M say it themselves."""
    if ":" not in structure:
        return asked
    kept, group = (int(part) for part in structure.split("x")[0].split(":"))
    return 1 - kept / group


def measure(arguments: argparse.Namespace) -> None:
    rows = read_rows(arguments.json)
    subject = resnet20(arguments)
    networks = {"as trained": subject.model, "rescaled": copy.deepcopy(subject.model)}
    rescale(networks["rescaled"], seed=1)
    for seed in range(arguments.seeds):
        images = subject.calibration(seed)
        for method in arguments.methods:
            for structure in arguments.structures:
                for scales, network in networks.items():
                    for equalise in (False, True):
                        key: dict[str, Any] = {
                            "method": method, "structure": structure, "scales": scales, "equalise": equalise,
                            "sparsity": sparsity_of(structure, arguments.sparsity), "seed": seed,
                        }  # fmt: skip
                        if any(all(row[name] == value for name, value in key.items()) for row in rows):
                            continue
                        config = chita_edge.PruneConfig(
                            method=method, structure=structure, sparsity=key["sparsity"], equalise=equalise, seed=seed
                        )
                        names = [f"{name}.weight" for name in subject.prunable]
                        found = chita_edge.prune(network, images, config, prunable=names)
                        rows.append({**key, "accuracy": accuracy(found.model.eval(), subject.test)})
                        write_rows(arguments.json, rows)


def table(rows: list[dict[str, Any]]) -> Table:
    view = Table(title="Accuracy in %, mean over the seeds")
    for heading in ("method", "structure", "zeros", "scales", "as they are", "equalised", "seeds"):
        view.add_column(heading)
    keys = dict.fromkeys((r["method"], r["structure"], r["sparsity"], r["scales"]) for r in rows)
    for key in keys:
        mine = [r for r in rows if (r["method"], r["structure"], r["sparsity"], r["scales"]) == key]
        scores = {e: [r["accuracy"] for r in mine if r["equalise"] is e] for e in (False, True)}
        cells = (f"{mean(scores[e]):.2f}" if scores[e] else "" for e in (False, True))
        view.add_row(key[0], key[1], f"{key[2]:.0%}", key[3], *cells, str(len(scores[True])))
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--structures", nargs="+", default=["unstructured", "1x4", "2:4"])
    parser.add_argument("--methods", nargs="+", default=["reconstruct"])
    parser.add_argument("--sparsity", type=float, default=0.75)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=1000)
    arguments = parser.parse_args()
    arguments.stress = False
    measure(arguments)
    Console().print(table(read_rows(arguments.json)))


if __name__ == "__main__":
    main()
