"""Several processes, on one machine or more, that prune one network together."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from chita_edge.calibration.errors import CalibrationError
from chita_edge.errors import ChitaEdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A rank that is waited for may compute for long; one that is gone is noticed by its closed connection.
_PATIENCE = timedelta(days=7)
FAILED, RESULT = -1, -2


class RankError(CalibrationError):
    """Another process of the group failed or was lost."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process in a `torch.distributed` group whose first process, the *leader*, decides everything.

    Only the leader runs solvers; the others hold rows of A, answer its requests, and do the work that it deals out. No
    decision is taken twice, so that processors that round differently cannot disagree.

    Attributes:
        rank: number of this process.
        size: number of processes.
        group: None for the default group.
    """

    rank: int
    size: int
    group: dist.ProcessGroup | None = None

    @property
    def leads(self) -> bool:
        """Whether this process decides."""
        return self.rank == 0

    def share(self, rows: int, step: int, rank: int | None = None) -> slice:
        """The rows of A, or the images, of ``rows`` in all, that a rank takes; whole batches of ``step`` where it can.

        Raises:
            CalibrationError: there are fewer rows than ranks.
        """
        if rows < self.size:
            raise CalibrationError(f"{rows} samples cannot be spread over {self.size} processes.")
        mine = self.rank if rank is None else rank
        batches = -(-rows // step)
        unit, count = (step, batches) if batches >= self.size else (1, rows)
        first, last = (count * number // self.size * unit for number in (mine, mine + 1))
        return slice(first, min(last, rows))

    def command(self, *numbers: int) -> list[int]:
        """What the leader says next, four numbers; the others call it without any.

        Raises:
            RankError: the leader has failed.
        """
        header = torch.zeros(4, dtype=torch.int64)
        header[: len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        self.broadcast(header)
        if int(header[0]) == FAILED and not self.leads:
            raise RankError("The leading process, rank 0, failed; its own message says why.")
        return header.tolist()

    def broadcast(self, tensor: torch.Tensor) -> torch.Tensor:
        """Fill ``tensor`` with the leader's."""
        with _connected():
            dist.broadcast(tensor, 0, group=self.group)
        return tensor

    def reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks; for the leader only, of the others' memory nothing is said."""
        with _connected():
            dist.reduce(tensor, 0, group=self.group)
        return tensor

    def gather(self, part: torch.Tensor, shares: list[slice]) -> torch.Tensor:
        """For the leader all ranks' parts (m, n_rank) side by side, (m, n); for the others their own."""
        with _connected():
            if not self.leads:
                dist.send(part.contiguous(), 0, group=self.group)
                return part
            whole = torch.empty(len(part), shares[-1].stop)
            whole[:, shares[0]] = part
            for rank in range(1, self.size):
                received = torch.empty(len(part), shares[rank].stop - shares[rank].start)
                dist.recv(received, rank, group=self.group)
                whole[:, shares[rank]] = received
            return whole

    def exchange(self, parts: list[torch.Tensor], shares: list[slice]) -> torch.Tensor:
        """Give each rank its part (m_rank, n_mine) of all samples; what this one is given, (m_mine, n)."""
        mine = parts[self.rank]
        whole = torch.empty(len(mine), shares[-1].stop)
        whole[:, shares[self.rank]] = mine
        others = [rank for rank in range(self.size) if rank != self.rank]
        received = {rank: torch.empty(len(mine), shares[rank].stop - shares[rank].start) for rank in others}
        with _connected():
            waiting = [
                dist.isend(parts[rank].contiguous(), rank, group=self.group) for rank in others if parts[rank].numel()
            ]
            waiting += [dist.irecv(received[rank], rank, group=self.group) for rank in others if len(mine)]
            for one in waiting:
                if one is not None:
                    one.wait()
        for rank, part in received.items():
            whole[:, shares[rank]] = part
        return whole

    def scatter(self, items: Sequence[Any] | None) -> Any:
        """The leader's item for this rank; the others call it with None."""
        mine: list[Any] = [None]
        with _connected():
            dist.scatter_object_list(mine, None if items is None else list(items), 0, group=self.group)
        return mine[0]

    def collect(self, item: Any) -> list[Any]:
        """For the leader every rank's item, in their order; for the others nothing."""
        items: list[Any] = [None] * self.size
        with _connected():
            dist.gather_object(item, items if self.leads else None, 0, group=self.group)
        return items if self.leads else []

    def hand_out(self, tensors: dict[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
        """The leader's tensors, for every rank; the others call it with None.

        Raises:
            RankError: the leader has failed.
        """
        self.command(RESULT)
        described = [[(name, t.dtype, tuple(t.shape)) for name, t in (tensors or {}).items()]]
        with _connected():
            dist.broadcast_object_list(described, 0, group=self.group)
        if tensors is None:
            tensors = {name: torch.empty(shape, dtype=dtype) for name, dtype, shape in described[0]}
        return {name: self.broadcast(tensor.contiguous()) for name, tensor in tensors.items()}

    def all_well(self, problem: Exception | None) -> None:
        """Wait for all; when one of them has a problem, fail everywhere with its sentence.

        Raises:
            RankError: names the rank.
        """
        problems: list[str | None] = [None] * self.size
        with _connected():
            dist.all_gather_object(problems, None if problem is None else str(problem), group=self.group)
        for rank, sentence in enumerate(problems):
            if sentence is not None:
                raise RankError(f"Rank {rank} of {self.size}: {sentence}") from problem

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Leave this block when all have, or fail everywhere with the sentence of the one that failed.

        Raises:
            RankError: names the rank.
        """
        try:
            yield
        except ChitaEdgeError as error:
            self.all_well(error)
        self.all_well(None)


@contextmanager
def leading(ranks: Ranks | None) -> Iterator[None]:
    """Let the other ranks know when the leader fails in here."""
    try:
        yield
    except RankError:
        raise
    except BaseException:
        if ranks is not None and ranks.leads:
            ranks.command(FAILED)
        raise


@contextmanager
def ranks_from_environment() -> Iterator[Ranks | None]:
    """The group that ``torchrun`` has started this process in, over gloo; None where it has not."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2 or "RANK" not in os.environ:
        yield None
        return
    with _connected():
        dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankError(
            f"The connection to another process was lost ({str(error).splitlines()[0]}). Start all of them again."
        ) from error
