"""How accurate are networks in sparse int8, by sparsity, and against plain post-training quantisation?

    python benchmarks/int8_accuracy.py --json FILE [--weights resnet20_cifar10.pt --data cifar10.npz]
        [--networks resnet20 mobilenet] [--methods together distilled magnitude ort float32]
        [--sparsities 0 0.5 0.65 0.75 0.85 0.9]
        [--structure 1x4] [--seeds 5] [--first-seed 0] [--epochs 20] [--stress] [--bits 8]
        [--mean-bits 5]

``resnet20`` is ResNet-20 on CIFAR-10, ``--weights`` a state dict of `ResNet20Cifar` and ``--data`` an npz with
``x_calib`` and ``x_val``; ``mobilenet`` is the embedded MobileNet. A seed draws 1,000 calibration images; labels are
not used.

Methods: ``together`` prunes and rounds layer by layer; ``alike`` does so with a layer's outputs counted alike when they
compete for weights, whatever an error of them does to the network's answers; ``distilled`` then trains ``together``
through the rounding on the same images; ``float32`` refits on the support of ``together`` without rounding;
``magnitude`` takes the largest weights and then ONNX Runtime's ``quantize_static``; ``ort`` is that on the dense
network, at the best of its calibration methods.
``multiplications`` and ``multiplications, distilled`` leave 30 % of the network's multiplications, whatever the
sparsities say.
``--stress`` rescales the inner channels of ResNet-20 by 2^U(−3, 3) first, which leaves its function the same.

Each row is written to FILE as it is found, and a later run with the same file adds only those that are missing.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from int8_evaluation import accuracy, integers, ort_accuracies
from pruning import read, read_rows, write_rows
from rich.console import Console
from rich.table import Table
from torch import nn

from chita_edge.datasets import LabelledImages, load
from chita_edge.models import get_model, load_weights
from chita_edge.models.resnet20_cifar import BasicBlock, ResNet20Cifar
from chita_edge.quantization import Compressed, CompressionConfig, QuantisedNetwork, compress_plan, prepare
from chita_edge.quantization.distill import DistillConfig, distill_through_rounding
from chita_edge.tuning.distillation_views import distillation_views

METHODS = (
    "together", "alike", "distilled", "float32", "magnitude", "ort", "multiplications", "multiplications, distilled",
)  # fmt: skip
KEPT_MULTIPLICATIONS = 0.3


@dataclass(frozen=True)
class Subject:
    """A trained network with its images."""

    model: nn.Module
    prunable: tuple[str, ...]
    calibration: Callable[[int], torch.Tensor]
    test: LabelledImages
    learning_rate: float


def resnet20(arguments: argparse.Namespace) -> Subject:
    model = ResNet20Cifar().eval()
    load_weights(model, arguments.weights)
    source, validation = read(arguments.data)
    if arguments.stress:
        rescale(model, seed=1)
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    names = [name for name in names if name != "conv1" and "downsample" not in name]

    def calibration(seed: int) -> torch.Tensor:
        chosen = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))[: arguments.images]
        return source.images[chosen]

    return Subject(model, tuple(names), calibration, validation, 3e-3)


def rescale(model: nn.Module, seed: int) -> None:
    """Multiply the channels inside each block by 2^U(−3, 3), and divide the weights that read them."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for block in model.modules():
            if isinstance(block, BasicBlock):
                factor = 2 ** (6 * torch.rand(len(block.bn1.weight), generator=rng) - 3)
                block.bn1.weight *= factor
                block.bn1.bias *= factor
                block.conv2.weight /= factor[:, None, None]


def mobilenet(arguments: argparse.Namespace) -> Subject:
    entry = get_model("mobilenet")
    assert entry.dataset is not None and entry.embedded_weights is not None
    model = entry.architecture().eval()
    load_weights(model, entry.embedded_weights)
    data = load(entry.dataset)
    names = [name.removesuffix(".weight") for name in entry.prunable(model)]
    convolutions = tuple(name for name in names if isinstance(model.get_submodule(name), nn.Conv2d))
    return Subject(model, convolutions, lambda seed: data.calibration(arguments.images, seed).images, data.test(), 1e-3)


SUBJECTS = {"resnet20": resnet20, "mobilenet": mobilenet}


def zeroed(subject: Subject, sparsity: float, structure: str) -> nn.Module:
    """The network with all but its largest blocks set to zero, over all prunable layers together."""
    from chita_edge.pruning import Constraint, get_pattern

    model = copy.deepcopy(subject.model)
    weights = [model.get_parameter(f"{name}.weight") for name in subject.prunable]
    shapes = tuple(weight.shape for weight in weights)
    budget = round((1 - sparsity) * sum(shape.numel() for shape in shapes))
    scores = torch.cat([weight.detach().flatten().square() for weight in weights])
    mask = Constraint(get_pattern(structure), shapes, budget).project(scores)
    with torch.no_grad():
        for weight, part in zip(weights, torch.split(mask, [shape.numel() for shape in shapes]), strict=True):
            weight *= part.view(weight.shape)
    return model


def distilled(
    made: Compressed, subject: Subject, images: torch.Tensor, arguments: argparse.Namespace, seed: int
) -> Any:
    """The integer network after training through the rounding."""
    assert made.network is not None
    how = DistillConfig(arguments.epochs, subject.learning_rate, seed=seed)

    views = distillation_views(subject.model, images, seed=seed)
    return distill_through_rounding(made.network, subject.model, images, how, views=views)


@dataclass
class Record:
    """The rows of one network, kept in a file."""

    network: str
    arguments: argparse.Namespace

    def __post_init__(self) -> None:
        self.rows = read_rows(self.arguments.json)

    def lacks(self, method: str, sparsity: float, seed: int) -> bool:
        """Whether this row has still to be measured."""
        return not any(
            all(row[key] == value for key, value in self._key(method, sparsity, seed).items()) for row in self.rows
        )

    def add(self, method: str, sparsity: float, seed: int, score: float, **more: float) -> None:
        """Write a row."""
        self.rows.append({**self._key(method, sparsity, seed), "accuracy": score, **more})
        write_rows(self.arguments.json, self.rows)
        Console(stderr=True).print(f"{self.network}, {method}, {sparsity:.0%}, seed {seed}: {score:.2f} % {more}")

    def _key(self, method: str, sparsity: float, seed: int) -> dict[str, Any]:
        bits = self.arguments.mean_bits or self.arguments.bits
        known = {"structure": self.arguments.structure, "bits": bits}
        return {"network": self.network, "method": method, **known, "sparsity": sparsity, "seed": seed}


def measure(arguments: argparse.Namespace) -> None:
    """One row for each network, method, sparsity and seed, and one for each dense network."""
    for network in arguments.networks:
        subject = SUBJECTS[network](arguments)
        record = Record(f"{network}, rescaled" if arguments.stress else network, arguments)
        if record.lacks("dense", 0.0, 0):
            record.add("dense", 0.0, 0, accuracy(subject.model, subject.test))
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            images = subject.calibration(seed)
            for sparsity in arguments.sparsities:
                plain = "magnitude" if sparsity else "ort"
                if plain in arguments.methods and record.lacks(plain, sparsity, seed):
                    model = zeroed(subject, sparsity, arguments.structure) if sparsity else subject.model
                    scores = ort_accuracies(model, images, subject.test)
                    record.add(plain, sparsity, seed, max(scores.values()), **scores)
            measure_ours(subject, images, seed, record)


def measure_ours(subject: Subject, images: torch.Tensor, seed: int, record: Record) -> None:
    """Add the missing rows of our methods; one plan serves all of a seed."""
    arguments, plan = record.arguments, None
    bits = {"weight_bits": arguments.bits, "mean_bits": arguments.mean_bits}
    base = CompressionConfig(structure=arguments.structure, seed=seed, **bits)
    wanted: list[tuple[CompressionConfig, tuple[str, ...]]] = []
    for sparsity in arguments.sparsities:
        config = replace(base, sparsity=sparsity)
        wanted.append((config, ("together", "alike", "float32", "distilled") if sparsity else ("together", "float32")))
    fewer = replace(base, sparsity=1 - KEPT_MULTIPLICATIONS, budget="multiplications")
    wanted.append((fewer, ("multiplications", "multiplications, distilled")))
    for config, methods in wanted:
        names = [name for name in methods if name in arguments.methods and record.lacks(name, config.sparsity, seed)]
        if not names:
            continue
        if plan is None:
            plan = prepare(subject.model, images, base, subject.prunable)
        started = time.process_time()
        made = compress_plan(plan, images, config)
        seconds = time.process_time() - started
        for name in names:
            network: Any = made
            if name == "alike":
                network = compress_plan(replace(plan, importance={}), images, config)
            if name == "float32":
                masks = made.masks if config.sparsity else None
                network = compress_plan(plan, images, replace(config, dtype="float32", search=False), masks=masks)
            if "distilled" in name:
                network = distilled(made, subject, images, arguments, seed)
            spent = time.process_time() - started if "distilled" in name else seconds
            if isinstance(network, Compressed):
                network = network.network or network
            if isinstance(network, QuantisedNetwork):
                network = integers(network, images)
            record.add(name, config.sparsity, seed, accuracy(network, subject.test), cpu_seconds=round(spent, 1))


def table(rows: list[dict[str, Any]]) -> Table:
    """Mean accuracy over the seeds by network, method and sparsity."""
    sparsities = sorted({row["sparsity"] for row in rows})
    view = Table(title="Accuracy in %, calibration images without labels")
    for heading in ("network", "method", "structure", "bits", *(f"{s:.0%}" for s in sparsities), "seeds"):
        view.add_column(heading)
    groups = dict.fromkeys((row["network"], row["method"], row["structure"], row["bits"]) for row in rows)
    for group in groups:
        mine = [row for row in rows if (row["network"], row["method"], row["structure"], row["bits"]) == group]
        scores = [[row["accuracy"] for row in mine if row["sparsity"] == sparsity] for sparsity in sparsities]
        cells = [f"{mean(found):.2f}" if found else "" for found in scores]
        seeds = [len(found) for found in scores if found]
        view.add_row(
            *map(str, group), *cells, f"{min(seeds)} to {max(seeds)}" if min(seeds) < max(seeds) else str(seeds[0])
        )
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--networks", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["together", "magnitude", "ort"])
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.0, 0.5, 0.65, 0.75, 0.85, 0.9])
    parser.add_argument("--structure", default="1x4")
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--mean-bits", type=float)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--stress", action="store_true")
    arguments = parser.parse_args()
    if "resnet20" in arguments.networks and (arguments.weights is None or arguments.data is None):
        parser.error("resnet20 needs --weights and --data; or choose --networks mobilenet")
    if arguments.stress and arguments.networks != ["resnet20"]:
        parser.error("--stress is of --networks resnet20")
    measure(arguments)
    Console().print(table(read_rows(arguments.json)))


if __name__ == "__main__":
    main()
