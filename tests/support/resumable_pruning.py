"""Prune a small network, always the same, in processes of their own, so that tests can kill one or start several."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn

from chita_edge.calibration import Ranks
from chita_edge.datasets import LabelledImages
from chita_edge.errors import ChitaEdgeError
from chita_edge.prune_config import PruneConfig
from chita_edge.pruning_api import prune

SAMPLES = 24


def network() -> nn.Module:
    """Three layers to prune, of 40 to 1,000 weights."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 120, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(120, 5),
    ).eval()


NAMES = ("0.weight", "3.weight", "7.weight")


def calibration(count: int = SAMPLES) -> LabelledImages:
    """Images of noise, 24 unless told otherwise."""
    rng = torch.Generator().manual_seed(1)
    return LabelledImages(torch.randn(count, 3, 8, 8, generator=rng), torch.randint(0, 5, (count,), generator=rng))


class Deadly:
    """A progress that kills its own process, as `kill -9` does; or fails with a sentence, if told ``solve:3!``."""

    def __init__(self, at: str | None) -> None:
        self.stage, _, self.calls = (at or ":0").rstrip("!").partition(":")
        self.fails = at is not None and at.endswith("!")

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Count the calls of the one stage."""
        if stage == self.stage:
            left = int(self.calls) - 1
            self.calls = str(left)
            if not left and self.fails:
                raise ChitaEdgeError("This is what went wrong.")
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)


def run(
    out: Path,
    state: Path | None = None,
    die_at: str | None = None,
    group: tuple[Path, int, int] | None = None,
    spoilt_rank: int | None = None,
    images: int = SAMPLES,
    **options: Any,
) -> None:
    """Prune; weights and masks go to ``out`` as safetensors, or the sentence of what failed to ``out`` as text.

    Args:
        out: file to write.
        state: state folder.
        die_at: ``"solve:3"`` kills the process at the third call of that stage's progress.
        group: file to meet at, rank, number of ranks.
        spoilt_rank: this rank sees an image of NaN.
        images: calibration images.
        options: of `PruneConfig`.
    """
    defaults = {"sparsity": 0.6, "gradient_samples": None, "gradient_batch": 3, "threads": 1}
    config = PruneConfig(**{**defaults, **options})
    ranks, data = None, calibration(images)
    if group is not None:
        meet, rank, size = group
        dist.init_process_group(
            "gloo", init_method=f"file://{meet}", rank=rank, world_size=size, timeout=timedelta(seconds=100)
        )
        ranks = Ranks(rank, size)
        if rank == spoilt_rank:
            data.images[:, 0, 0, 0] = torch.nan
    try:
        result = prune(network(), data, config, prunable=NAMES, state_dir=state, ranks=ranks, progress=Deadly(die_at))
    except ChitaEdgeError as error:
        out.write_text(f"{type(error).__name__}: {error}")
    else:
        tensors = {name: tensor.contiguous() for name, tensor in result.model.state_dict().items()}
        save_file(tensors | {f"mask/{name}": mask for name, mask in result.masks.items()}, out)
    if group is not None:
        dist.destroy_process_group()


def start(*arguments: Any, **options: Any) -> BaseProcess:
    """`run` in a process of its own."""
    return in_own_process(run, *arguments, **options)


def in_own_process(target: Callable[..., None], *arguments: Any, **options: Any) -> BaseProcess:
    """Start ``target(…)``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["chita_edge.pruning_api", "torch.distributed"])
    process = context.Process(target=target, args=arguments, kwargs=options)
    process.start()
    return process


def finish(processes: Iterable[BaseProcess], seconds: float = 120) -> list[int | None]:
    """Wait for all of them, and end those that hang; their exit codes."""
    for process in (all_of_them := list(processes)):
        process.join(seconds)
        process.kill()
        process.join()
    return [process.exitcode for process in all_of_them]
