"""Which layers run in our layout and which in the runtime's: the cheapest choice for a whole network.

Each layer costs something in either layout, and where a layer reads from one in the other layout its input has to be
reordered. The cheapest choice is a minimum cut between "ours" and "theirs" (Greig, Porteous & Seheult 1989), found as
the maximum flow with shortest augmenting paths (Edmonds & Karp 1972). Networks have some hundred layers at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping

_OURS, _THEIRS = object(), object()
_Capacity = dict[Hashable, dict[Hashable, float]]


def cheapest(
    costs: Mapping[str, tuple[float, float]], links: Iterable[tuple[str, str, float]]
) -> tuple[frozenset[str], float]:
    """The layers that are to run in our layout, and the cost of the whole.

    costs: by layer, in ours and in theirs; infinite where it cannot run there. links: (layer, layer, cost if the two
    are in different layouts); links with layers that are not in ``costs`` are passed over.
    """
    links = list(links)
    finite = [cost for pair in costs.values() for cost in pair if cost != float("inf")]
    beyond = 1.0 + 2 * sum(finite) + sum(cost for _, _, cost in links)
    left: _Capacity = {_OURS: {}, _THEIRS: {}, **{name: {} for name in costs}}
    for name, (ours, theirs) in costs.items():
        # A layer on the side of ours is cut off from theirs, and pays for being there.
        _add(left, _OURS, name, min(theirs, beyond))
        _add(left, name, _THEIRS, min(ours, beyond))
    for a, b, cost in links:
        if a in costs and b in costs and a != b:
            _add(left, a, b, cost)
            _add(left, b, a, cost)
    while path := _path(left, beyond * 1e-12):
        amount = min(left[start][end] for start, end in path)
        for start, end in path:
            left[start][end] -= amount
            left[end][start] += amount
    chosen = frozenset(name for name in costs if name in _reached(left, beyond * 1e-12))
    return chosen, price(costs, links, chosen)


def price(
    costs: Mapping[str, tuple[float, float]], links: Iterable[tuple[str, str, float]], ours: frozenset[str]
) -> float:
    """What a choice costs."""
    total = sum(pair[0] if name in ours else pair[1] for name, pair in costs.items())
    return total + sum(cost for a, b, cost in links if a in costs and b in costs and (a in ours) != (b in ours))


def _add(left: _Capacity, a: Hashable, b: Hashable, capacity: float) -> None:
    left[a][b] = left[a].get(b, 0.0) + capacity
    left[b].setdefault(a, 0.0)


def _search(left: _Capacity, least: float) -> dict[Hashable, Hashable]:
    """All that can still be reached from ours, with where it was reached from."""
    came_from: dict[Hashable, Hashable] = {_OURS: _OURS}
    waiting = deque([_OURS])
    while waiting:
        a = waiting.popleft()
        for b, capacity in left[a].items():
            if capacity > least and b not in came_from:
                came_from[b] = a
                waiting.append(b)
    return came_from


def _reached(left: _Capacity, least: float) -> set[Hashable]:
    return set(_search(left, least))


def _path(left: _Capacity, least: float) -> list[tuple[Hashable, Hashable]]:
    """A shortest way from ours to theirs, empty if there is none left."""
    came_from = _search(left, least)
    if _THEIRS not in came_from:
        return []
    path: list[tuple[Hashable, Hashable]] = []
    b: Hashable = _THEIRS
    while b is not _OURS:
        path.append((came_from[b], b))
        b = came_from[b]
    return path
