"""Data sets for calibration and for judging; the embedded one is ``fashion_mnist``."""

from chita_edge.datasets.collect import Collected, collect
from chita_edge.datasets.dataset import Dataset, LabelledImages
from chita_edge.datasets.errors import DataError
from chita_edge.datasets.registry import DATASETS, load
from chita_edge.datasets.user_data import UserData, load_user_data

__all__ = [
    "DATASETS",
    "Collected",
    "DataError",
    "Dataset",
    "LabelledImages",
    "UserData",
    "collect",
    "load",
    "load_user_data",
]
