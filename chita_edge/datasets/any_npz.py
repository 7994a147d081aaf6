"""An npz file with inputs of any network: one array or several, of any shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from chita_edge.datasets.dataset import LabelledImages
from chita_edge.datasets.errors import DataError
from chita_edge.datasets.npz import array_names, read_arrays
from chita_edge.network.inputs import Batch, SeveralInputs

if TYPE_CHECKING:
    from chita_edge.datasets.items import Signature
    from chita_edge.datasets.transform import TransformConfig

_IMAGES = 4  # dimensions of (n, height, width, channels)


def read_npz(
    path: Path, signature: Signature, transform: TransformConfig | None
) -> tuple[LabelledImages, LabelledImages | None]:
    """Calibration samples and, where the file has any, validation samples.

    Arrays are ``x_calib`` or ``x``, ``x_val``, and perhaps ``y_calib`` or ``y``, ``y_val``; several inputs are
    ``x_calib.NAME`` and so on, by the names of forward's parameters. Numbers are taken as they are; images of uint8 (n,
    height, width, channels) go through the transform.

    Raises:
        DataError: the file cannot be read, or its arrays do not fit each other.
    """
    names = array_names(path)
    arrays = read_arrays(path, [name for name in names if name.split(".")[0] in _KNOWN])
    reader = _Reader(path, arrays, signature, transform)
    x, y = ("x", "y") if reader.has("x") else ("x_calib", "y_calib")
    if reader.has("x") and reader.has("x_calib"):
        raise DataError(f"The data file {path} holds both x and x_calib; keep one of them.")
    if not reader.has(x):
        raise DataError(f"The data file {path} holds no array x_calib and none called x: there are no samples in it.")
    validation = reader.samples("x_val", "y_val") if reader.has("x_val") else None
    return reader.samples(x, y), validation


_KNOWN = ("x", "y", "x_calib", "y_calib", "x_val", "y_val")


class _Reader:
    def __init__(
        self, path: Path, arrays: dict[str, NDArray[Any]], signature: Signature, transform: TransformConfig | None
    ) -> None:
        self.path, self.arrays, self.signature, self.transform = path, arrays, signature, transform

    def has(self, name: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for key in self.arrays)

    def samples(self, x: str, y: str) -> LabelledImages:
        inputs = self._inputs(x)
        if not self.has(y):
            return LabelledImages(inputs)
        labels = self._labels(y)
        if len(labels) != len(inputs):
            raise DataError(f"The data file {self.path} has {len(inputs)} samples in {x} and {len(labels)} in {y}.")
        return LabelledImages(inputs, labels)

    def _inputs(self, name: str) -> Batch:
        if name in self.arrays:
            return self._tensor(name)
        given = {key.partition(".")[2]: key for key in self.arrays if key.startswith(f"{name}.")}
        order = self.signature.names
        missing = [wanted for wanted in order[: self.signature.required or 0] if wanted not in given]
        unknown = [key for key in given if key not in order and not self.signature.any_name]
        if missing or unknown:
            raise DataError(
                f"The data file {self.path} has the inputs {', '.join(given)} in {name}; the network takes "
                f"{', '.join(order)}."
            )
        keys = sorted(given, key=lambda key: order.index(key) if key in order else len(order))
        tensors = tuple(self._tensor(given[key]) for key in keys)
        if len({len(tensor) for tensor in tensors}) != 1:
            raise DataError(f"In the data file {self.path} the arrays of {name} hold unequal numbers of samples.")
        return tensors[0] if len(tensors) == 1 else SeveralInputs(tensors, tuple(keys))

    def _tensor(self, name: str) -> torch.Tensor:
        array = self.arrays[name]
        if array.ndim == 0 or not len(array):
            raise DataError(f"In the data file {self.path}, {name} holds no samples.")
        if array.dtype == np.uint8:
            if self.transform is None or array.ndim != _IMAGES:
                raise DataError(
                    f"In the data file {self.path}, {name} is uint8 of shape {array.shape}. Images (n, height, width, "
                    "channels) need mean and std in the table [transform]; store other inputs as float32 or int64."
                )
            return self.transform.pixels(torch.from_numpy(np.ascontiguousarray(array)))
        if array.dtype.kind not in "fiub":
            raise DataError(f"In the data file {self.path}, {name} is {array.dtype}; inputs are numbers.")
        if array.dtype.kind == "f":
            tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32))
            finite = tensor.reshape(len(tensor), -1).isfinite().all(1)
            if not bool(finite.all()):
                first = int(torch.nonzero(~finite)[0])
                raise DataError(f"The data file {self.path} holds NaN or infinite values in sample {first} of {name}.")
            return tensor
        kept = array.dtype if array.dtype in (np.int32, np.bool_) else np.int64
        return torch.from_numpy(np.ascontiguousarray(array, kept))

    def _labels(self, name: str) -> Any:
        if name in self.arrays:
            return self._label(name)
        keys = [key for key in self.arrays if key.startswith(f"{name}.")]
        return SeveralInputs(tuple(self._label(key) for key in keys), tuple(key.partition(".")[2] for key in keys))

    def _label(self, name: str) -> torch.Tensor:
        array = self.arrays[name]
        if array.dtype.kind not in "fiub" or not array.ndim:
            raise DataError(f"In the data file {self.path}, {name} is {array.dtype} of shape {array.shape}, no labels.")
        return torch.from_numpy(np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int64))
