"""Set the number of torch threads for a while, so that the order of sums does not follow the machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads in here, then with as many as before.

    torch splits sums and matrix products by its number of threads, which it takes from the machine's cores,
    OMP_NUM_THREADS or a container's limits. Float addition is not associative, so the last bits of a result depend on
    that number, and near a tie the choice of a weight. With the number fixed the same seed gives the same bytes on the
    same processor, also where there are fewer cores than threads. numpy and scipy are not used for sums while pruning.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
