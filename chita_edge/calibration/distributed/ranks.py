"""Distributed pruning: several processes, on one machine or more, prune one network."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from chita_edge.calibration.distributed.monitor import RankError
from chita_edge.calibration.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chita_edge.calibration.distributed.monitor import FailureMonitor

# A connection may be lost before there is a sentence that says why.
_SENTENCE_S = 2.0


@dataclass(frozen=True)
class Ranks:
    """The place of this process in a `torch.distributed` group whose first process, the *leader*, decides everything.

    A process that is alone is a group of one: what is asked of all is then done here, and nothing is sent.

    Only the leader runs solvers; the others hold rows of A, answer its requests, and do the work that it deals out. No
    decision is taken twice, so that processors that round differently cannot disagree.

    Attributes:
        rank: number of this process.
        size: number of processes.
        group: None for the default group.
        monitor: tells the processes of each other's failures.
    """

    rank: int
    size: int
    group: dist.ProcessGroup | None = None
    monitor: FailureMonitor | None = None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """End all ranks when one fails in here: with its own exception, the others with its sentence.

        Raises:
            RankError: another rank failed or was lost.
        """
        with nullcontext() if self.monitor is None else self.monitor.guarded():
            yield

    def same(self, parts: Mapping[str, str], kind: str = "run") -> None:
        """Make sure that all ranks are about to do the same.

        Raises:
            RankError: names a rank and what differs.
        """
        for rank, others in enumerate(self.collect(dict(parts))):
            differ = sorted(name for name in {*parts, *others} if parts.get(name) != others.get(name))
            if differ:
                raise RankError(
                    f"Rank {rank} of {self.size} was started for another {kind} than rank 0. What differs: "
                    f"{', '.join(differ)}. Start all with the same network, images and options."
                )

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
        """Next command of the leader, four integers; the other ranks call it without arguments."""
        header = torch.zeros(4, dtype=torch.int64)
        header[: len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        return self.broadcast(header).tolist()

    def broadcast(self, tensor: torch.Tensor) -> torch.Tensor:
        """Fill ``tensor`` with the leader's."""
        if self.size > 1:
            with self._connected():
                dist.broadcast(tensor, 0, group=self.group)
        return tensor

    def reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks; for the leader only, of the others' memory nothing is said."""
        if self.size > 1:
            with self._connected():
                dist.reduce(tensor, 0, group=self.group)
        return tensor

    def gather(self, part: torch.Tensor, shares: list[slice]) -> torch.Tensor:
        """For the leader all ranks' parts (m, n_rank) side by side, (m, n); for the others their own."""
        with self._connected():
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
        with self._connected():
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
        if self.size == 1:
            return None if items is None else items[0]
        mine: list[Any] = [None]
        with self._connected():
            dist.scatter_object_list(mine, None if items is None else list(items), 0, group=self.group)
        return mine[0]

    def collect(self, item: Any) -> list[Any]:
        """For the leader every rank's item, in their order; for the others nothing."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        with self._connected():
            dist.gather_object(item, items if self.leads else None, 0, group=self.group)
        return items if self.leads else []

    def hand_out(self, tensors: dict[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
        """The leader's tensors, for every rank; the others call it with None."""
        if self.size == 1:
            return tensors or {}
        described = [[(name, t.dtype, tuple(t.shape)) for name, t in (tensors or {}).items()]]
        with self._connected():
            dist.broadcast_object_list(described, 0, group=self.group)
        if tensors is None:
            tensors = {name: torch.empty(shape, dtype=dtype) for name, dtype, shape in described[0]}
        return {name: self.broadcast(tensor.contiguous()) for name, tensor in tensors.items()}

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Raise RankError where a connection is lost, with the sentence of the rank that failed if there is one."""
        try:
            yield
        except RuntimeError as error:
            known = None if self.monitor is None else self.monitor.reason(_SENTENCE_S)
            lost = f"The connection to another process was lost ({str(error).splitlines()[0]}). Start all again."
            raise RankError(known or lost) from error


ALONE = Ranks(0, 1)
