"""Weights of four bits, two a byte: the first in the low half.

A file holds them as uint8 and unpacks them in standard ops, which runtimes do once, when they load it::

    index = Cast <to = INT32> (packed);  pairs = Gather <axis = 0> (TABLE, index);  weight = Reshape (pairs, shape)

Worked example: [[1, -2], [7, 0]] → [0xE1, 0x07].
"""

from __future__ import annotations

import numpy as np

from exporters.weights.dtypes import Array

LEAST = 1024
"""Weights from which packing saves more than its three nodes take."""
_LOW, _HIGH = -8, 7


def _signed(codes: Array) -> Array:
    return np.where(codes > _HIGH, codes.astype(np.int16) - 16, codes).astype(np.int8)


_BYTES = np.arange(256, dtype=np.uint8)
TABLE: Array = np.stack([_signed(_BYTES & 15), _signed(_BYTES >> 4)], 1)
"""int8 (256, 2): both weights of each byte."""


def fits(array: Array) -> bool:
    """Whether int8 weights are worth packing and can be: an even number of them, of four bits each."""
    small = array.dtype == np.int8 and array.size >= LEAST and not array.size % 2
    return bool(small and array.min() >= _LOW and array.max() <= _HIGH)


def pack(array: Array) -> Array:
    """uint8 (size / 2,) of weights that `fits` says yes to."""
    flat = array.reshape(-1).view(np.uint8) & 15
    return flat[0::2] | (flat[1::2] << 4)


def unpack(packed: Array) -> Array:
    """int8 (2 · size,)."""
    return np.ascontiguousarray(TABLE[packed].reshape(-1))


def stored_bytes(array: Array) -> int:
    """Bytes that a weight takes in a file."""
    return array.nbytes // 2 if fits(array) else array.nbytes
