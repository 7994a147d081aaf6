"""How much memory, disk and time does pruning a large network take?

    python benchmarks/scale.py --network mobilenet_v1|resnet50 --samples N [--method chita_bso] [--sparsity 0.8]
        [--storage float32|bfloat16] [--batch 10] [--views 1] [--state DIR] [--threads 2] [--json FILE]
    torchrun --nproc-per-node 2 benchmarks/scale.py …

Weights and images are random: memory and time are what is measured. All convolutions and linear layers but depthwise
ones are pruned. Without ``--state`` the gradients are in an anonymous file of the temporary folder (``--scratch``);
with it, the same command goes on where a killed one was. Prints the peak resident memory of this process, the largest
size of the gradients on disk, and seconds a stage, wall clock, which a busy machine stretches; processor
seconds it does not; then a checksum of all masks and weights, by which runs are told to be equal. Progress, with the
time left, is on standard error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from labelled import loss_of
from rich.console import Console
from rich.table import Table
from torch import nn

from chita_edge.calibration import Ranks, ranks_from_environment
from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.methods import METHODS
from chita_edge.errors import ChitaEdgeError
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.resnet import ResNet50

NETWORKS = {"mobilenet_v1": MobileNetV1, "resnet50": ResNet50}
SIDE = 224


class Lines:
    """Progress as lines, at most one in ten seconds a stage, with the seconds left."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, int]] = {}
        self._told = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Print a line if it is time for one."""
        now = time.monotonic()
        if not done or stage not in self._started:
            self._started[stage] = (now, done)
        begun, before = self._started[stage]
        if done < total and now - self._told < 10:
            return
        self._told = now
        left = (now - begun) / (done - before) * (total - done) if done > before else float("nan")
        print(f"{stage}: {done}/{total}, {now - begun:.0f} s, {left:.0f} s left", file=sys.stderr, flush=True)


def build(name: str) -> tuple[nn.Module, tuple[str, ...]]:
    """The network, its batch-norm statistics such that activations neither explode nor vanish, and what to prune."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average of what it sees, at once
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 3, SIDE, SIDE))
    names = tuple(
        f"{path}.weight"
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    )
    return network.eval(), names


def peak_bytes() -> int:
    """Largest resident memory of this process so far, file pages that it had mapped included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cpu_seconds() -> float:
    """Processor time of this process, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def checksum(model: nn.Module, masks: dict[str, torch.Tensor]) -> str:
    """SHA-256 of every tensor of the network and every mask, in the order of their names."""
    digest = hashlib.sha256()
    for tensors in (model.state_dict(), masks):
        for name, tensor in sorted(tensors.items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def measure(arguments: argparse.Namespace, ranks: Ranks | None) -> dict[str, Any]:
    network, names = build(arguments.network)
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(arguments.samples * arguments.samples_per_row, 3, SIDE, SIDE, generator=rng)
    calibration = LabelledImages(images, torch.randint(0, 1000, (len(images),), generator=rng))
    config = PruneConfig(
        method=arguments.method,
        loss=loss_of(arguments.method),
        sparsity=arguments.sparsity,
        gradient_samples=None,
        samples_per_row=arguments.samples_per_row,
        gradient_batch=arguments.batch,
        gradient_storage=arguments.storage,
        memory_budget_bytes=arguments.budget << 20,
        scratch_dir=arguments.scratch,
        recalibration_views=arguments.views,
        augment=bool(arguments.views),
        fit_images=arguments.fit_images,
    )
    before = peak_bytes()
    started, spent = time.perf_counter(), cpu_seconds()
    result = prune(
        network, calibration, config, prunable=names, state_dir=arguments.state, ranks=ranks, progress=Lines()
    )
    p = sum(mask.numel() for mask in result.masks.values())
    share = 1 if ranks is None else ranks.size
    return {
        "network": arguments.network,
        "method": arguments.method,
        "p": p,
        "n": arguments.samples,
        "ranks": share,
        "threads": torch.get_num_threads(),
        "storage": arguments.storage,
        "sparsity": result.figures.sparsity,
        "objective": result.figures.objective,
        "seconds": {**result.figures.seconds, "all": time.perf_counter() - started},
        "cpu_seconds": cpu_seconds() - spent,
        "disk_bytes": p * arguments.samples // share * (2 if arguments.storage == "bfloat16" else 4),
        "peak_resident_bytes_before": before,
        "peak_resident_bytes": peak_bytes(),
        "sha256": checksum(result.model, result.masks),
    }


def table(row: dict[str, Any]) -> Table:
    view = Table(title=f"{row['network']}, {row['method']}, p = {row['p']:,}, n = {row['n']}")
    view.add_column("what")
    view.add_column("figure", justify="right")
    view.add_row("processes, threads each", f"{row['ranks']}, {row['threads']}")
    view.add_row(f"gradients on disk, {row['storage']}", f"{row['disk_bytes'] / 1e9:.1f} GB")
    view.add_row("peak resident memory", f"{row['peak_resident_bytes'] / 1e9:.2f} GB")
    view.add_row(
        "of that before pruning: libraries, network, images", f"{row['peak_resident_bytes_before'] / 1e9:.2f} GB"
    )
    for stage, seconds in row["seconds"].items():
        view.add_row(f"seconds, {stage}", f"{seconds:.0f}")
    view.add_row("processor seconds, all threads", f"{row['cpu_seconds']:.0f}")
    view.add_row("sparsity", f"{row['sparsity']:.4f}")
    view.add_row("masks and weights, SHA-256", row["sha256"][:16])
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=list(NETWORKS), required=True)
    parser.add_argument("--samples", type=int, required=True, help="rows of A")
    parser.add_argument("--samples-per-row", type=int, default=1)
    parser.add_argument("--method", choices=list(METHODS), default="chita_bso")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--storage", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--batch", type=int, default=10, help="images a forward pass")
    parser.add_argument("--budget", type=int, default=2048, help="memory for gradients, MiB")
    parser.add_argument("--fit-images", type=int, help="images that layers are refitted on; all by default")
    parser.add_argument(
        "--views", type=int, default=1, help="passes that recalibrate batch norm; with 0 no views at all"
    )
    parser.add_argument("--state", type=Path)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with ExitStack() as stack:
        try:
            ranks = stack.enter_context(ranks_from_environment())
            row = measure(arguments, ranks)
        except ChitaEdgeError as error:
            sys.exit(f"scale.py: {error}")
        if ranks is None or ranks.leads:
            Console().print(table(row))
            if arguments.json is not None:
                arguments.json.write_text(json.dumps({"rows": [row]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
