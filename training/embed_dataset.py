"""Pack what the package carries of Fashion-MNIST: the test set and 2,000 training images, 200 of each class.

    python training/embed_dataset.py --data /usr/share/datasets/fashion-mnist

``--data`` is the folder of the four IDX files, as Debian's package ``dataset-fashion-mnist`` installs them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from train_mobilenet import read_idx

CALIBRATION_IMAGES_PER_CLASS = 200
OUT = Path(__file__).parents[1] / "chita_edge" / "datasets" / "files" / "fashion_mnist.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    images = read_idx(folder / "train-images-idx3-ubyte.gz")
    labels = read_idx(folder / "train-labels-idx1-ubyte.gz")
    rng = np.random.default_rng(0)
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(labels == c), CALIBRATION_IMAGES_PER_CLASS, replace=False) for c in range(10)]
    )
    chosen = rng.permutation(chosen)
    np.savez_compressed(
        OUT,
        x_calibration=images[chosen],
        y_calibration=labels[chosen],
        x_test=read_idx(folder / "t10k-images-idx3-ubyte.gz"),
        y_test=read_idx(folder / "t10k-labels-idx1-ubyte.gz"),
    )
    print(f"{OUT.name}: {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
