"""Types of a stored weight's values and indices, and the loss of rounding to float16."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from exporters.errors import CsrError

Array = npt.NDArray[Any]
VALUE_DTYPES = (np.dtype(np.float32), np.dtype(np.float16))
INDEX_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int32))


def index_dtype(columns: int) -> np.dtype[Any]:
    """The smallest of uint8, uint16 and int32 that holds ``columns - 1``.

    Raises CsrError when int32 does not.
    """
    for dtype in INDEX_DTYPES:
        if columns - 1 <= np.iinfo(dtype).max:
            return dtype
    raise CsrError(f"A row of {columns} columns cannot be indexed with int32; split the layer or leave it dense.")


def to_half(values: Array) -> Array:
    """The values as float16, rounded to nearest."""
    return values.astype(np.float16)


def half_precision_error(weight: Array) -> float:
    """Largest loss ‖w − float16(w)‖ / ‖w‖ by rounding the weights w of an output or input channel.

    weight: float32 (outputs, inputs, …). Rounding a number of float16's normal range, 6.1e-5 to 65504, takes at most
    2⁻¹¹ of it; below, it takes more, and everything below 3e-8; beyond, the share is infinite. Per channel, because
    what is before or after a layer may scale each channel: inputs in raw units are large, and their weights small.
    """
    exact = weight.astype(np.float64)
    with np.errstate(over="ignore"):
        lost = exact - weight.astype(np.float16)
    if not np.all(np.isfinite(lost)):
        return math.inf
    worst = 0.0
    for axis in (0, 1):
        others = tuple(other for other in range(weight.ndim) if other != axis)
        whole, share = np.square(exact).sum(axis=others), np.square(lost).sum(axis=others)
        worst = max(worst, float(np.divide(share, whole, out=np.zeros_like(whole), where=whole > 0).max(initial=0)))
    return math.sqrt(worst)
