"""Gradients whose samples are spread over ranks: the leader asks, all ranks compute.

Sums over samples are computed where the samples are. Work on blocks of coordinates is dealt out: each rank is sent the
other ranks' samples of its blocks, does them, and tells the leader.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.gradient_matrix import GradientMatrix
from chita_edge.pruning.columns import gram, squared_norms, times, transposed_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chita_edge.calibration.distributed.ranks import Ranks
    from chita_edge.pruning.columns import Columns, Work

_STOP, _TIMES, _TRANSPOSED_TIMES, _SQUARED_NORMS, _GRAM, _ROWS, _SELECT, _EACH = range(8)
_WINDOW_BYTES = 64 << 20


class _Shard:
    """One rank's samples, and the arithmetic on them; every method is called on all ranks at once."""

    def __init__(self, matrix: GradientMatrix, ranks: Ranks, shares: list[slice]) -> None:
        self.ranks, self.shares = ranks, shares
        self.mine = shares[ranks.rank]
        self.samples = shares[-1].stop
        self.blocks: list[torch.Tensor | Columns] = list(matrix.blocks.values())

    def times(self, layer: int, vector: torch.Tensor | None) -> torch.Tensor:
        """A v = the ranks' products one after another."""
        block = self.blocks[layer]
        vector = self.ranks.broadcast(torch.empty(block.shape[0]) if vector is None else vector.contiguous())
        product = torch.zeros(self.samples)
        product[self.mine] = times(block, vector)
        return self.ranks.reduce(product)

    def transposed_times(self, layer: int, vector: torch.Tensor | None) -> torch.Tensor:
        """Aᵀ v = Σ over ranks of A_rᵀ v_r."""
        vector = self.ranks.broadcast(torch.empty(self.samples) if vector is None else vector.contiguous())
        return self.ranks.reduce(transposed_times(self.blocks[layer], vector[self.mine]))

    def squared_norms(self, layer: int) -> torch.Tensor:
        """Diag(AᵀA) = Σ over ranks."""
        return self.ranks.reduce(squared_norms(self.blocks[layer]).clone())

    def gram(self, layer: int, first: int, last: int) -> torch.Tensor:
        """AᵀA of a block = Σ over ranks of A_rᵀA_r."""
        return self.ranks.reduce(gram(self.blocks[layer], first, last).contiguous())

    def rows(self, layer: int, first: int, last: int) -> torch.Tensor:
        """Some coordinates of all samples."""
        return self.ranks.gather(self.blocks[layer][first:last], self.shares)

    def select(self, layer: int, count: int, index: torch.Tensor | None) -> torch.Tensor:
        """Chosen coordinates of all samples."""
        index = self.ranks.broadcast(torch.empty(count, dtype=torch.int64) if index is None else index.contiguous())
        return self.ranks.gather(self.blocks[layer].index_select(0, index), self.shares)

    def each(self, layer: int, deal: list[list[Work]] | None) -> list[dict[str, torch.Tensor]]:
        """Each rank gets all samples of the coordinates that its works need, and does them; the results in order."""
        spans = torch.zeros(self.ranks.size, 2, dtype=torch.int64)
        for rank, works in enumerate(deal or []):
            if works:
                spans[rank] = torch.tensor([works[0].first, works[-1].last])
        places = self.ranks.broadcast(spans).tolist()
        columns = self.ranks.exchange([self.blocks[layer][first:last] for first, last in places], self.shares)
        mine: list[Work] = self.ranks.scatter(deal)
        begin = places[self.ranks.rank][0]
        done = [work.run(columns[work.first - begin : work.last - begin]) for work in mine]
        return [result for results in self.ranks.collect(done) for result in results]


class ShardedColumns:
    """One layer of the leader's matrix: a `chita_edge.pruning.columns.Columns` over all ranks' samples.

    Products and Gram matrices are computed where the samples are, and summed; work on blocks is dealt out; coordinates
    asked for one after another are fetched a window at a time.
    """

    def __init__(self, shard: _Shard, layer: int, window_bytes: int = _WINDOW_BYTES) -> None:
        self._shard, self._layer = shard, layer
        self._size = shard.blocks[layer].shape[0]
        self._step = max(1, window_bytes // (4 * shard.samples))
        self._held: tuple[int, torch.Tensor] | None = None
        self.shape = torch.Size((self._size, shard.samples))

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Neighbouring coordinates, float32 (rows, n)."""
        first, last, _ = rows.indices(self._size)
        last = max(first, last)
        edge = first // self._step * self._step
        if last > edge + self._step:
            return self._rows(first, last)
        if self._held is None or self._held[0] != edge:
            self._held = None
            self._held = (edge, self._rows(edge, min(edge + self._step, self._size)))
        return self._held[1][first - edge : last - edge]

    def index_select(self, dim: int, index: torch.Tensor) -> torch.Tensor:
        """Coordinates ``index`` (ascending), float32 (len(index), n); ``dim`` is 0."""
        assert dim == 0  # noqa: S101 (samples are not selected)
        self._ask(_SELECT, len(index))
        return self._shard.select(self._layer, len(index), index)

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """A v, (n,), for v (m,)."""
        self._ask(_TIMES)
        return self._shard.times(self._layer, vector)

    def transposed_times(self, vector: torch.Tensor) -> torch.Tensor:
        """Aᵀ v, (m,), for v (n,)."""
        self._ask(_TRANSPOSED_TIMES)
        return self._shard.transposed_times(self._layer, vector)

    def squared_norms(self) -> torch.Tensor:
        """The diagonal of AᵀA, (m,)."""
        self._ask(_SQUARED_NORMS)
        return self._shard.squared_norms(self._layer)

    def gram(self, first: int, last: int) -> torch.Tensor:
        """AᵀA of the coordinates ``first`` to ``last``."""
        self._ask(_GRAM, first, last)
        return self._shard.gram(self._layer, first, last)

    def each(self, works: Iterable[Work]) -> Iterator[dict[str, torch.Tensor]]:
        """Deal the works out to all ranks, as many at a time as a window holds on each; results in order."""
        size = self._shard.ranks.size
        hand: list[Work] = []
        for work in works:
            if hand and work.last - hand[0].first > size * self._step:
                yield from self._deal(hand)
                hand = []
            hand.append(work)
        if hand:
            yield from self._deal(hand)

    def _deal(self, hand: list[Work]) -> list[dict[str, torch.Tensor]]:
        size, count = self._shard.ranks.size, len(hand)
        self._ask(_EACH)
        return self._shard.each(
            self._layer, [hand[count * rank // size : count * (rank + 1) // size] for rank in range(size)]
        )

    def _rows(self, first: int, last: int) -> torch.Tensor:
        self._ask(_ROWS, first, last)
        return self._shard.rows(self._layer, first, last)

    def _ask(self, operation: int, first: int = 0, last: int = 0) -> None:
        self._shard.ranks.command(operation, self._layer, first, last)


@contextmanager
def lead(
    matrix: GradientMatrix, ranks: Ranks, shares: list[slice], window_bytes: int = _WINDOW_BYTES
) -> Iterator[GradientMatrix]:
    """For the leader: the matrix of all samples, while the other ranks `serve`.

    Args:
        matrix: the leader's own samples.
        ranks: the group.
        shares: each rank's samples, in order.
        window_bytes: of one layer's coordinates that a rank holds at a time.
    """
    if ranks.size == 1:
        yield matrix
        return
    shard = _Shard(matrix, ranks, shares)
    yield GradientMatrix(
        {name: ShardedColumns(shard, number, window_bytes) for number, name in enumerate(matrix.blocks)}, on_disk=True
    )
    ranks.command(_STOP)


def serve(matrix: GradientMatrix, ranks: Ranks, shares: list[slice]) -> None:
    """For the others: answer the leader until it has finished.

    Raises:
        RankError: the leader failed or was lost.
    """
    shard = _Shard(matrix, ranks, shares)
    while True:
        operation, layer, first, last = ranks.command()
        if operation == _STOP:
            return
        if operation == _TIMES:
            shard.times(layer, None)
        elif operation == _TRANSPOSED_TIMES:
            shard.transposed_times(layer, None)
        elif operation == _SQUARED_NORMS:
            shard.squared_norms(layer)
        elif operation == _GRAM:
            shard.gram(layer, first, last)
        elif operation == _ROWS:
            shard.rows(layer, first, last)
        elif operation == _EACH:
            shard.each(layer, None)
        else:
            shard.select(layer, first, None)
