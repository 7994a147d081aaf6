"""N:M weights with packed indices: conversion between dense and (values, index), and validation.

Of each M neighbouring input channels (a group), at one output channel and one tap, at most N weights are stored, in N
slots: a value, and its channel within the group in as few bits as hold M − 1. The bits of slot i are the i-th in a
stream, the lowest of a byte first. Empty slots hold 0.

Worked example, 2:4 of a weight of shape (1, 6), whose last group has two channels::

    [[0, 5, 0, 7, 0, 8]]   →   values = [[[[5, 7]], [[0, 8]]]],  channels = 1 3, 0 1,  index = [0b01_00_11_01]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from exporters.errors import CsrError
from exporters.weights.csr import Csr
from exporters.weights.dtypes import VALUE_DTYPES, Array, to_half

LARGEST_M = 16
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Nm:
    """A weight stored as N slots for each group of M input channels.

    values: float32 or float16 (rows, groups, taps, N). index: uint8, the packed channels. m: channels of a group.
    shape: that of the dense weight, (rows, K) with one tap or (rows, C, kh, kw).
    """

    values: Array
    index: Array
    m: int
    shape: tuple[int, ...]

    @property
    def nnz(self) -> int:
        """Number of slots that are not empty."""
        return int(np.count_nonzero(self.values))

    @property
    def n(self) -> int:
        """Slots of a group."""
        return int(self.values.shape[3])

    @property
    def format(self) -> str:
        """Name in reports: N:M."""
        return f"{self.n}:{self.m}"

    @property
    def nbytes(self) -> int:
        """Bytes of the two arrays and of the shape as int64."""
        return int(self.values.nbytes + self.index.nbytes) + 8 * len(self.shape)


def bits_of(m: int) -> int:
    """Bits of a channel within a group of ``m``."""
    return (m - 1).bit_length()


def from_dense(weight: Array, m: int) -> Nm:
    """The weight in groups of ``m`` channels, with as many slots as the fullest group needs; at least one.

    Empty slots name the first channels that their group's weights do not, those that there are before those beyond.
    """
    cells = _cells(weight, m)
    full = cells != 0
    n = max(1, int(full.sum(axis=3).max(initial=0)))
    # Stable: stored channels first, then the empty ones in order; those chosen are then put into ascending order.
    chosen = np.sort(np.argsort(~full, axis=3, kind="stable")[..., :n], axis=3)
    values = np.take_along_axis(cells, chosen, axis=3)
    return Nm(np.where(values == 0, np.float32(0), values), _pack(chosen.reshape(-1), bits_of(m)), m, weight.shape)


def find_group(weight: Array, plain: Csr) -> int:
    """The group size M ≤ 16 in which the weight takes the fewest bytes, if that is fewer than ``plain``; else 0.

    Values are counted in the type that they have in ``plain``. Two groups have to fit into a row, and at least three
    quarters of the slots have to be taken: less is chance and no pattern. A weight without zeros, or with nothing else,
    has none.
    """
    if not 0 < plain.nnz < weight.size:
        return 0
    best, least = 0, plain.nbytes
    for m in range(2, min(LARGEST_M, weight.shape[1] // 2) + 1):
        cells = np.count_nonzero(_cells(weight, m), axis=3)
        n = int(cells.max())
        bits = 8 * plain.values.itemsize + bits_of(m)
        size = -(-cells.size * n * bits // 8) + 8 * weight.ndim
        if n < m and size < least and 4 * plain.nnz >= 3 * cells.size * n:
            best, least = m, size
    return best


def in_half_precision(nm: Nm) -> Nm:
    """A copy with values rounded to float16, to nearest."""
    return replace(nm, values=to_half(nm.values))


def to_dense(nm: Nm) -> Array:
    """The float32 weight of ``nm.shape``; the inverse of :func:`from_dense`."""
    rows, groups, taps, _ = nm.values.shape
    cells = np.zeros((rows, groups, taps, nm.m), np.float32)
    np.put_along_axis(cells, _channels(nm), nm.values.astype(np.float32), axis=3)
    flat = cells.transpose(0, 1, 3, 2).reshape(rows, groups * nm.m, taps)
    return flat[:, : nm.shape[1]].reshape(nm.shape)


def validate(values: Array, index: Array, m: int, shape: Sequence[int]) -> Nm:
    """Check that the arrays are a valid :class:`Nm`, and return it. NaN and infinity are legal values.

    Raises CsrError with the first rule that is broken: types, ranks, sizes; channels within their group, ascending
    strictly in it; nothing but 0 beyond the last channel; no bits beyond the last slot.
    """
    if values.dtype not in VALUE_DTYPES or index.dtype != np.uint8:
        raise CsrError(f"types are {values.dtype} and {index.dtype}, not float32 or float16 values and uint8 index")
    if values.ndim != 4 or index.ndim != 1:
        raise CsrError("values must have four dimensions and index one")
    if not 2 <= m <= LARGEST_M:
        raise CsrError(f"groups of {m} channels are outside 2…{LARGEST_M}")
    if len(shape) < 2 or min(shape) < 1 or math.prod(shape[1:]) > _INT32_MAX:
        raise CsrError(f"weight_shape {list(shape)} is not that of a weight")
    needed = (shape[0], -(-shape[1] // m), math.prod(shape[2:]))
    if values.shape[:3] != needed or not 1 <= values.shape[3] < m:
        raise CsrError(f"values has shape {values.shape}, not {needed} and 1 to {m - 1} slots")
    bits = values.size * bits_of(m)
    if index.size != -(-bits // 8):
        raise CsrError(f"index has {index.size} bytes, {values.size} slots of groups of {m} need {-(-bits // 8)}")
    if bits % 8 and index[-1] >> bits % 8:
        raise CsrError("the last byte of index has bits beyond the last slot")
    nm = Nm(values, index, m, tuple(int(d) for d in shape))
    channels = _channels(nm)
    if channels.max(initial=0) >= m:
        raise CsrError(f"a slot names a channel outside its group of {m}")
    if np.any(channels[..., 1:] <= channels[..., :-1]):
        raise CsrError("the channels of a group must ascend strictly")
    beyond = channels[:, -1] + (needed[1] - 1) * m >= shape[1]
    if np.any(values[:, -1][beyond] != 0):
        raise CsrError("a value stands beyond the last channel")
    return nm


def _cells(weight: Array, m: int) -> Array:
    """The weight as (rows, groups, taps, m), zeros beyond the last channel."""
    rows, channels = weight.shape[:2]
    groups = -(-channels // m)
    flat = np.zeros((rows, groups * m, math.prod(weight.shape[2:])), np.float32)
    flat[:, :channels] = weight.reshape(rows, channels, -1)
    return flat.reshape(rows, groups, m, -1).transpose(0, 1, 3, 2)


def _pack(channels: Array, bits: int) -> Array:
    digits = channels[:, None] >> np.arange(bits) & 1
    return np.packbits(digits.astype(np.uint8).reshape(-1), bitorder="little")


def _channels(nm: Nm) -> Array:
    """The channel within its group of each slot, in the shape of ``values``."""
    bits = bits_of(nm.m)
    digits = np.unpackbits(nm.index, bitorder="little")[: nm.values.size * bits].reshape(-1, bits)
    channels: Array = (digits.astype(np.int64) << np.arange(bits)).sum(axis=1)
    return channels.reshape(nm.values.shape)
