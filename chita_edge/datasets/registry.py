"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable

from chita_edge.datasets.dataset import Dataset
from chita_edge.datasets.fashion_mnist import load_fashion_mnist
from chita_edge.datasets.watch_activity import load_watch_activity
from chita_edge.errors import UsageError

DATASETS: dict[str, Callable[[], Dataset]] = {
    "fashion_mnist": load_fashion_mnist,
    "watch_activity": load_watch_activity,
}


def load(name: str) -> Dataset:
    """The data set called `name`; raises UsageError with the names there are."""
    if name not in DATASETS:
        raise UsageError(f"There is no data set {name!r}; there is {', '.join(sorted(DATASETS))}.")
    return DATASETS[name]()
