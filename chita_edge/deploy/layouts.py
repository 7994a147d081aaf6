"""Choice of layout, ours or the runtime's, for each layer of a network, at the least cost of the whole.

Each layer costs something in either layout, and where a layer reads from one in the other layout its input has to be
reordered. The cheapest choice is a minimum cut between "ours" and "theirs" (Greig, Porteous & Seheult 1989), which
the maximum flow gives (Ford & Fulkerson 1956).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

_LARGEST = 1 << 29
"""The capacities of `scipy.sparse.csgraph.maximum_flow` are int32; no cut is cheaper by more than total / _LARGEST."""


def cheapest(
    costs: Mapping[str, tuple[float, float]], links: Iterable[tuple[str, str, float]]
) -> tuple[frozenset[str], float]:
    """The layers that are to run in our layout, and the cost of the whole.

    costs: by layer, in ours and in theirs; infinite where it cannot run there. links: (layer, layer, cost if the two
    are in different layouts); links with layers that are not in ``costs`` are passed over.
    """
    links = [(a, b, cost) for a, b, cost in links if a in costs and b in costs and a != b]
    place = {name: number for number, name in enumerate(costs)}
    ours, theirs = len(costs), len(costs) + 1
    # A layer on the side of ours is cut off from theirs, and pays for being there.
    edges = [(ours, place[name], pair[1]) for name, pair in costs.items()]
    edges += [(place[name], theirs, pair[0]) for name, pair in costs.items()]
    edges += [(place[one], place[other], cost) for a, b, cost in links for one, other in ((a, b), (b, a))]
    capacity = _capacities(edges, len(costs) + 2)
    left = capacity - maximum_flow(capacity, ours, theirs).flow
    left.eliminate_zeros()
    reached = set(breadth_first_order(left, ours, return_predecessors=False).tolist())
    chosen = frozenset(name for name, number in place.items() if number in reached)
    return chosen, price(costs, links, chosen)


def price(
    costs: Mapping[str, tuple[float, float]], links: Iterable[tuple[str, str, float]], ours: frozenset[str]
) -> float:
    """Cost of a choice."""
    total = sum(pair[0] if name in ours else pair[1] for name, pair in costs.items())
    return total + sum(cost for a, b, cost in links if a in costs and b in costs and (a in ours) != (b in ours))


def _capacities(edges: list[tuple[int, int, float]], nodes: int) -> csr_array:
    """The graph in whole numbers: a power of two times the costs, and more than all of them for an infinite one."""
    total = sum(cost for _, _, cost in edges if math.isfinite(cost)) or 1.0
    scale = 2.0 ** math.floor(math.log2(_LARGEST / total))
    values = np.array([round(cost * scale) if math.isfinite(cost) else _LARGEST + 1 for _, _, cost in edges], np.int32)
    rows, columns = (np.array([edge[side] for edge in edges]) for side in (0, 1))
    return csr_array((values, (rows, columns)), shape=(nodes, nodes))
