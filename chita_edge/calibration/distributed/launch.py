"""Join the processes that a launcher has started."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from chita_edge.calibration.distributed.monitor import FailureMonitor, RankError
from chita_edge.calibration.distributed.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from collections.abc import Iterator

# A rank that is waited for may compute for long; one that fails is noticed by the monitor.
_PATIENCE = timedelta(days=7)
_JOIN, _STORE = timedelta(minutes=10), timedelta(seconds=5)


@contextmanager
def ranks_from_environment() -> Iterator[Ranks]:
    """The group that ``torchrun`` has started this process in, over gloo; this process alone where it has not.

    Any failure in here, of any rank, ends this block on all ranks within 30 seconds: on the rank that failed with its
    own exception, on the others with a `RankError` that holds its sentence.

    Raises:
        RankError: another process failed, was lost, or did not join within ten minutes.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "-1"))
    if size < 2 or rank < 0:
        yield ALONE
        return
    hosts = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    run = f"chita-edge/{os.environ.get('TORCHELASTIC_RUN_ID')}/{os.environ.get('TORCHELASTIC_RESTART_COUNT')}"
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = TCPStore(host, port, size, hosts, _JOIN, wait_for_workers=False)
        # A connection of its own: the first one may be busy waiting.
        beside = TCPStore(host, port, size, False, _STORE, wait_for_workers=False)
        names = f"{run}/ranks"
        monitor = FailureMonitor(PrefixStore(names, beside), rank, size, hosts_store=hosts)
    except RuntimeError as error:
        raise RankError(f"Rank {rank} of {size} finds no rank 0 at {host}:{port} ({_first_line(error)}).") from error
    try:
        with monitor.guarded():
            try:
                monitor.wait_for_all(PrefixStore(names, store), _JOIN)
                dist.init_process_group(
                    "gloo",
                    store=PrefixStore(f"{run}/gloo", store),
                    rank=rank,
                    world_size=size,
                    timeout=_PATIENCE,
                )
            except RuntimeError as error:
                raise RankError(f"Not all of {size} processes have joined ({_first_line(error)}).") from error
            yield Ranks(rank, size, monitor=monitor)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        monitor.leave()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
