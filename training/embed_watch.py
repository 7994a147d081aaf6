"""Pack what the package carries of the smart-watch recordings that PyPI's seglearn ships: all of it, in 16 bits.

    pip download --no-deps seglearn==1.2.5 && unzip seglearn-1.2.5-*.whl -d seglearn
    python training/embed_watch.py --data seglearn/seglearn/data/watch_dataset.npy

The file is a pickle; it is read by an unpickler that knows numpy's arrays and nothing else.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

from chita_edge.datasets.watch_activity import FILE, STEPS

_KNOWN = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of numpy's arrays")
        return _KNOWN[module, name]


def read_recordings(path: Path) -> dict[str, Any]:
    """The dictionary that seglearn.datasets.load_watch gives."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        recordings: dict[str, Any] = _Arrays(file, encoding="latin1").load().item()
    return recordings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    recordings = read_recordings(parser.parse_args().data)
    series = np.concatenate(recordings["X"]).T
    whole = np.rint(series * np.array(STEPS)[:, None]).astype(np.int16)
    # Both bytes of a number apart: the high ones hardly change, which deflate then sees.
    low, high = np.ascontiguousarray(whole).view(np.uint8).reshape(*whole.shape, 2).transpose(2, 0, 1)
    np.savez_compressed(
        FILE,
        low=low,
        high=high,
        lengths=np.array([len(one) for one in recordings["X"]], np.int32),
        labels=recordings["y"].astype(np.uint8),
        subjects=recordings["subject"].astype(np.uint8),
    )
    size = FILE.stat().st_size / 1e6
    print(f"{FILE.name}: {len(recordings['X'])} recordings, {whole.shape[1]:,} samples, {size:.2f} MB")


if __name__ == "__main__":
    main()
