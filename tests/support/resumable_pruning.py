"""Prune a small network, always the same, in processes of their own, so that tests can kill one or start several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from chita_edge.calibration import ranks_from_environment
from chita_edge.calibration.distributed import monitor
from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.errors import ChitaEdgeError

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
    """A progress that ends its own process at the third call of a stage, if told ``solve:3``, as `kill -9` does.

    ``solve:3!`` fails with a sentence instead; ``solve:3!MemoryError`` with another exception; ``solve:3!sleep``
    computes for a minute in Python, and ``solve:3!wait`` outside of it.
    """

    def __init__(self, at: str | None) -> None:
        at, _, self.how = (at or ":0").partition("!") if "!" in (at or "") else (at or ":0", "", "kill")
        self.stage, _, calls = at.partition(":")
        self.left = int(calls)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Count the calls of the one stage."""
        if stage == self.stage:
            self.left -= 1
            if not self.left:
                self.end()

    def end(self) -> None:
        """Do what was told."""
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "wait":
            time.sleep(60)
        elif self.how == "sleep":
            for _ in range(6000):
                time.sleep(0.01)
        else:
            raise FAILURES[self.how]


FAILURES: dict[str, BaseException] = {
    "": ChitaEdgeError("This is what went wrong."),
    "RuntimeError": RuntimeError("can't allocate memory"),
    "MemoryError": MemoryError(),
    "KeyboardInterrupt": KeyboardInterrupt(),
}


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def join(port: int, rank: int, size: int) -> None:
    """Set the environment as torchrun does."""
    place = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()} | {"GLOO_SOCKET_IFNAME": "lo"})


def run(
    out: Path,
    state: Path | None = None,
    die_at: str | None = None,
    group: tuple[int, int, int] | None = None,
    images: int = SAMPLES,
    quick_s: tuple[float, float] | None = None,
    **options: Any,
) -> None:
    """Prune; weights and masks go to ``out`` as safetensors, or the sentence of what failed to ``out`` as text.

    Args:
        out: file to write.
        state: state folder.
        die_at: see `Deadly`.
        group: port to meet at, rank, number of ranks.
        images: calibration images.
        quick_s: seconds after which a rank counts as lost, and after which one is ended that does not end; what it
            then says on standard error is in a file beside `out`.
        options: of `PruneConfig`.
    """
    defaults = {"sparsity": 0.6, "gradient_samples": None, "gradient_batch": 3, "threads": 1}
    config, data = PruneConfig(**{**defaults, **options}), calibration(images)
    if group is not None:
        join(*group)
    if quick_s is not None:
        monitor.LOST_S, monitor.GRACE_S = quick_s
        os.dup2(os.open(out.with_suffix(".err"), os.O_WRONLY | os.O_CREAT, 0o644), 2)
    progress = Deadly(die_at)
    try:
        with ranks_from_environment() as ranks:
            result = prune(network(), data, config, prunable=NAMES, state_dir=state, ranks=ranks, progress=progress)
    except (ChitaEdgeError, *map(type, FAILURES.values())) as error:
        out.write_text(f"{type(error).__name__}: {error}")
        return
    tensors = {name: tensor.contiguous() for name, tensor in result.model.state_dict().items()}
    save_file(tensors | {f"mask/{name}": mask for name, mask in result.masks.items()}, out)


def start(*arguments: Any, **options: Any) -> BaseProcess:
    """`run` in a process of its own."""
    return in_own_process(run, *arguments, **options)


def in_own_process(target: Callable[..., None], *arguments: Any, **options: Any) -> BaseProcess:
    """Start ``target(…)``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["chita_edge.engine.api", "torch.distributed"])
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
