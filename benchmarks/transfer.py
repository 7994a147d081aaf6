"""Is a pre-trained network cheaper to fine-tune on another task after whole channels were removed from it?

    python benchmarks/transfer.py [--data cifar10.npz] [--seeds 3] [--sparsity 0.5] [--rates 0.005 0.02 0.08]
        [--last-rates 0.02 0.1 0.5] [--json FILE] [--chart FILE.svg]

Zero-shot structured pruning (Caccia et al. 2023, "Towards Compute-Optimal Transfer Learning"): the embedded network,
trained on Fashion-MNIST, loses filters or channels without any training, gets a new last layer, and is fine-tuned on
another task. Accuracy is drawn against training compute, the multiply–accumulates of forward and backward passes. The
tasks:

- ``turned``: embedded images turned by a quarter, as negatives;
- ``npz``: with ``--data``, an npz with ``x_calib``, ``y_calib``, ``x_val``, ``y_val`` (uint8 NHWC), in grey.

Images have 48×48 pixels. A backward pass costs two forward passes, without the part for the first layer's input. Where
only the last layer learns, each image passes the network once and its features are kept. A seed draws the images, their
order and the new layer. Each network has the learning rate whose accuracy, over all compute budgets, is best on 300
images that are neither learnt from nor judged on, with a seed of their own.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional
from transfer_tasks import TUNING_SEED, Task, tasks

from chita_edge import datasets
from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.models import get_model, load_weights
from chita_edge.network.macs import multiplications
from chita_edge.shrinking import shrink

BATCH, TRAIN = 32, 1000
METHODS = ("dense", "filter", "channel", "last layer")
EPOCHS_ON_FEATURES = 30
MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # where accuracy is taken, in units of the compute budget


def pruned(model: nn.Module, structure: str, sparsity: float) -> nn.Module:
    """Fewer filters or channels, chosen on Fashion-MNIST without training, the same share in every layer."""
    source = datasets.load("fashion_mnist").calibration(300, 0)
    config = PruneConfig(
        structure=structure, sparsity=sparsity, allocation="uniform", loss="cross_entropy", gradient_samples=300
    )
    result = prune(model, source, config, prunable=get_model("mobilenet").prunable(model))
    return shrink(result.model, source.images[:1])


def layer_macs(model: nn.Module, image: torch.Tensor) -> dict[str, int]:
    """Multiply–accumulates of every convolution and linear layer for one image."""
    names = [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return multiplications(model, names, image)


def accuracy(model: nn.Module, data: LabelledImages) -> float:
    """In percent."""
    model.eval()
    with torch.no_grad():
        right = sum(
            int((model(x).argmax(1) == y).sum())
            for x, y in zip(data.images.split(100), data.labels.split(100), strict=True)
        )
    model.train()
    return 100 * right / len(data)


def fine_tune(
    model: nn.Module, train: LabelledImages, judges: LabelledImages, budget: float, seed: int, rate: float
) -> Iterator[tuple[float, float]]:
    """Train all layers until ``budget`` MACs are spent; yields compute and accuracy at the marks."""
    macs = layer_macs(model, train.images[:1])
    per_image = 3 * sum(macs.values()) - next(iter(macs.values()))
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(train), generator=rng)[:TRAIN]
    spent, marks = 0.0, [mark * budget for mark in MARKS]
    model.train()
    while marks:
        for batch in chosen[torch.randperm(len(chosen), generator=rng)].split(BATCH):
            loss = functional.cross_entropy(model(train.images[batch]), train.labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            spent += len(batch) * per_image
            while marks and spent >= marks[0]:
                yield marks.pop(0), accuracy(model, judges)
            if not marks:
                return


def train_last_layer(
    model: nn.Module, train: LabelledImages, judges: LabelledImages, budget: float, seed: int, rate: float
) -> Iterator[tuple[float, float]]:
    """Train the last layer only, on features that are computed once an image; yields as `fine_tune`."""
    macs = list(layer_macs(model, train.images[:1]).values())
    last = model.classifier[-1]  # type: ignore[index, union-attr]
    body = copy.deepcopy(model).eval()
    body.classifier = nn.Identity()
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(train), generator=rng)[:TRAIN]
    labels = train.labels[chosen]
    with torch.no_grad():
        features, judged = (
            torch.cat([body(x) for x in images.split(100)]) for images in (train.images[chosen], judges.images)
        )
    forward, step = sum(macs), 2 * macs[-1]
    optimiser = torch.optim.SGD(last.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)
    done = 0
    for mark in (mark * budget for mark in MARKS):
        # As many images pass the network as nine tenths of the compute allow; then come steps on their features.
        passed = min(len(labels), int(0.9 * mark / forward))
        steps = min(int((mark - passed * forward) / (BATCH * step)), EPOCHS_ON_FEATURES * passed // BATCH)
        for _ in range(done, steps):
            batch = torch.randint(passed, (BATCH,), generator=rng)
            loss = functional.cross_entropy(last(features[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        done = max(done, steps)
        with torch.no_grad():
            yield mark, 100 * float((last(judged).argmax(1) == judges.labels).float().mean())


def learn(
    method: str,
    network: nn.Module,
    train: LabelledImages,
    judges: LabelledImages,
    budget: float,
    seed: int,
    rate: float,
) -> list[tuple[float, float]]:
    """Compute and accuracy on ``judges`` at the marks, of a copy of the network with a new last layer."""
    model = copy.deepcopy(network)
    torch.manual_seed(seed)
    old = model.classifier[-1]  # type: ignore[index, union-attr]
    model.classifier[-1] = nn.Linear(old.in_features, old.out_features)  # type: ignore[index, operator, union-attr]
    trained = train_last_layer if method == "last layer" else fine_tune
    return list(trained(model, train, judges, budget, seed, rate))


def best_rate(method: str, network: nn.Module, task: Task, budget: float, rates: list[float]) -> float:
    """The learning rate of the best mean accuracy over the marks on the validation images."""
    found = {}
    for rate in rates:
        marks = learn(method, network, task.train, task.validation, budget, TUNING_SEED, rate)
        found[rate] = mean(percent for _, percent in marks)
    told = ", ".join(f"{rate:g}: {percent:.1f} %" for rate, percent in found.items())
    print(f"{task.name}, {method}, on validation images, by rate: {told}", file=sys.stderr, flush=True)
    return max(found, key=lambda rate: found[rate])


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each task, method, seed and mark."""
    entry = get_model("mobilenet")
    dense = entry.architecture().eval()
    load_weights(dense, entry.embedded_weights)  # type: ignore[arg-type]
    networks = {"dense": dense, "last layer": dense}
    networks |= {structure: pruned(dense, structure, arguments.sparsity) for structure in ("filter", "channel")}
    rows = []
    for task in tasks(arguments.data):
        if arguments.tasks and task.name not in arguments.tasks:
            continue
        whole = sum(layer_macs(dense, task.train.images[:1]).values())
        budget = arguments.epochs * TRAIN * 3 * whole
        for method in METHODS:
            network = networks[method]
            macs = sum(layer_macs(network, task.train.images[:1]).values())
            rates = arguments.last_rates if method == "last layer" else arguments.rates
            rate = best_rate(method, network, task, budget, rates) if len(rates) > 1 else rates[0]
            for seed in range(arguments.seeds):
                started = time.process_time()
                for compute, percent in learn(method, network, task.train, task.test, budget, seed, rate):
                    rows.append(
                        {
                            "task": task.name,
                            "method": method,
                            "seed": seed,
                            "rate": rate,
                            "forward_macs": macs,
                            "training_macs": compute,
                            "accuracy": percent,
                        }
                    )
                spent = time.process_time() - started
                print(
                    f"{task.name}, seed {seed}, {method}: {percent:.1f} %, {spent:.0f} s", file=sys.stderr, flush=True
                )
                if arguments.json is not None:
                    arguments.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Mean accuracy and its standard deviation over the seeds."""
    view = Table(title="Accuracy in % by training compute")
    marks = list(dict.fromkeys(row["training_macs"] for row in rows))
    for heading in ("task", "network", "MACs an image", "rate", *(f"{mark / 1e9:.3g} GMACs" for mark in marks)):
        view.add_column(heading)
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["task"], row["method"]) == (task, method)]
        cells = []
        for mark in marks:
            values = [row["accuracy"] for row in mine if row["training_macs"] == mark]
            cells.append(f"{mean(values):.1f} ± {stdev(values) if len(values) > 1 else 0:.1f}")
        view.add_row(task, method, f"{mine[0]['forward_macs']:,}", f"{mine[0]['rate']:g}", *cells)
    return view


def chart(rows: list[dict[str, Any]]) -> bytes:
    """Mean accuracy against training compute as SVG, one line for each task and network."""
    import pygal  # needed for this alone, and it changes how modules are imported

    lines = pygal.XY(
        title="Fine-tuning on another task",
        x_title="training compute, GMACs (logarithmic)",
        y_title="accuracy, %",
        js=(),
        x_value_formatter=lambda power: f"{2**power:.3g}",
    )
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        points: dict[float, list[float]] = {}
        for row in rows:
            if (row["task"], row["method"]) == (task, method):
                points.setdefault(row["training_macs"] / 1e9, []).append(row["accuracy"])
        lines.add(f"{task}: {method}", [(math.log2(x), mean(values)) for x, values in points.items()])
    return bytes(lines.render())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz of another task")
    parser.add_argument("--tasks", nargs="+", choices=["turned", "npz"], help="only these")
    parser.add_argument(
        "--sparsity", type=float, default=0.5, help="share of the weights that filters or channels take along"
    )
    parser.add_argument("--epochs", type=float, default=2.0, help="compute budget, in epochs of the dense network")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.005, 0.02, 0.08], help="tried for whole networks")
    parser.add_argument(
        "--last-rates", type=float, nargs="+", default=[0.02, 0.1, 0.5], help="tried for the last layer"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path, help="SVG file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(arguments)
    Console(width=140).print(table(rows))
    if arguments.chart is not None:
        arguments.chart.write_bytes(chart(rows))


if __name__ == "__main__":
    main()
