"""Data sets for calibration and for judging; the embedded one is ``fashion_mnist``."""

from chita_edge.datasets.dataset import Dataset, LabelledImages
from chita_edge.datasets.registry import DATASETS, load

__all__ = ["DATASETS", "Dataset", "LabelledImages", "load"]
