"""A user's own images: ``x_calib, y_calib, x_val, y_val`` or ``x, y`` in an npz file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chita_edge.datasets.dataset import LabelledImages
from chita_edge.datasets.errors import DataError
from chita_edge.datasets.npz import read_arrays
from chita_edge.errors import UsageError

_NAMES = ("x_calib", "y_calib", "x_val", "y_val", "x", "y")


@dataclass(frozen=True)
class UserData:
    """Network inputs of a user.

    Attributes:
        images: what may be calibrated on, float32 (n, channels, height, width).
        labels: their classes, int64 (n,), if the file has them.
        validation: what accuracy is measured on, if the file has it; no part of pruning sees it.
    """

    images: torch.Tensor
    labels: torch.Tensor | None
    validation: LabelledImages | None

    def draw(self, count: int | None, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`count` images (1,000 or all there are when None) and their labels, without replacement.

        Raises UsageError when there are not so many.
        """
        available = len(self.images)
        wanted = min(1000, available) if count is None else count
        if not 1 <= wanted <= available:
            raise UsageError(f"The data file has {available} calibration images, {wanted} cannot be drawn from them.")
        chosen = torch.randperm(available, generator=torch.Generator().manual_seed(seed))[:wanted]
        return self.images[chosen], None if self.labels is None else self.labels[chosen]

    def held_out(self, count: int, seed: int, most: int = 1000) -> LabelledImages:
        """The images that `draw(count, seed)` leaves, at most so many."""
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(seed))
        chosen = order[count : count + most]
        return LabelledImages(self.images[chosen], None if self.labels is None else self.labels[chosen])


def load_user_data(
    path: Path,
    input_shape: tuple[int, ...],
    classes: int,
    normalise: Callable[[torch.Tensor], torch.Tensor] | None,
) -> UserData:
    """Read the images in `path`.

    Args:
        path: npz with ``x_calib`` or ``x``, and perhaps ``y_calib`` or ``y``, ``x_val`` and ``y_val``. Images are
            uint8 (n, height, width, channels), and then normalised, or float32 (n, channels, height, width), and then
            taken as they are; labels are whole numbers (n,).
        input_shape: (channels, height, width) that the network takes, or (channels, time).
        classes: number of them.
        normalise: from uint8 (n, channels, height, width) to network inputs; None where these are no images.

    Raises:
        DataError: the file cannot be read, or its arrays do not fit the network or each other.
    """
    arrays = read_arrays(path, _NAMES)
    if "x" in arrays and "x_calib" in arrays:
        raise DataError(f"The data file {path} holds both x and x_calib; keep one of them.")
    x, y = ("x", "y") if "x" in arrays else ("x_calib", "y_calib")
    if x not in arrays:
        raise DataError(f"The data file {path} holds no array x_calib and none called x: there are no images in it.")
    if ("x_val" in arrays) != ("y_val" in arrays):
        present, absent = ("x_val", "y_val") if "x_val" in arrays else ("y_val", "x_val")
        raise DataError(f"The data file {path} holds {present} without {absent}; accuracy needs both.")
    reader = _Reader(path, arrays, input_shape, classes, normalise)
    validation = reader.labelled("x_val", "y_val") if "x_val" in arrays else None
    return UserData(reader.images(x), reader.labels(y, x) if y in arrays else None, validation)


@dataclass(frozen=True)
class _Reader:
    path: Path
    arrays: Mapping[str, NDArray[Any]]
    input_shape: tuple[int, ...]
    classes: int
    normalise: Callable[[torch.Tensor], torch.Tensor] | None

    def labelled(self, x: str, y: str) -> LabelledImages:
        return LabelledImages(self.images(x), self.labels(y, x))

    def images(self, name: str) -> torch.Tensor:
        array = self.arrays[name]
        channels, *sides = self.input_shape
        if array.dtype == np.uint8 and self.normalise is not None:
            if array.shape[1:] != (*sides, channels):
                raise self._wrong(name, f"uint8 images of this network are {_listed('n', *sides, channels)}")
        elif array.dtype == np.float32:
            if array.shape[1:] != self.input_shape:
                raise self._wrong(name, f"float32 inputs of this network are {_listed('n', *self.input_shape)}")
        elif self.normalise is None:
            raise self._wrong(name, f"inputs of this network are float32 {_listed('n', *self.input_shape)}")
        else:
            raise self._wrong(name, "images are uint8 (n, height, width, channels) or float32 network inputs")
        if len(array) == 0:
            raise self._wrong(name, "there has to be at least one image")
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if tensor.dtype == torch.uint8 and self.normalise is not None:
            return self.normalise(tensor.movedim(-1, 1)).contiguous()
        finite = tensor.flatten(1).isfinite().all(1)
        if not bool(finite.all()):
            first = int(torch.nonzero(~finite)[0])
            raise DataError(f"The data file {self.path} holds NaN or infinite values in image {first} of {name}.")
        return tensor

    def labels(self, name: str, images: str) -> torch.Tensor:
        array, count = self.arrays[name], len(self.arrays[images])
        if array.dtype.kind not in "iu" or array.shape != (count,):
            raise self._wrong(name, f"the labels of {images} are whole numbers of shape ({count},)")
        wrong = np.flatnonzero((array < 0) | (array >= self.classes))
        if wrong.size:
            first = int(wrong[0])
            raise DataError(
                f"The data file {self.path} labels image {first} of {images} with {array[first]}; this network's "
                f"classes are 0 to {self.classes - 1}."
            )
        return torch.from_numpy(array.astype(np.int64))

    def _wrong(self, name: str, wanted: str) -> DataError:
        array = self.arrays[name]
        return DataError(f"In the data file {self.path}, {name} is {array.dtype} of shape {array.shape}; {wanted}.")


def _listed(*sides: int | str) -> str:
    return f"({', '.join(map(str, sides))})"
