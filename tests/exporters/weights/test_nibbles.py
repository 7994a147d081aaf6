"""Weights of four bits, two a byte, as ONNX packs its own type of four bits."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from onnx import numpy_helper

from exporters.weights import nibbles


def test_bytes_are_those_of_onnx_and_come_back(rng: np.random.Generator) -> None:
    weight = rng.integers(-8, 8, (64, 4, 3, 2)).astype(np.int8)
    theirs = numpy_helper.from_array(weight.astype(ml_dtypes.int4)).raw_data
    packed = nibbles.pack(weight)
    assert packed.tobytes() == theirs
    np.testing.assert_array_equal(nibbles.unpack(packed).reshape(weight.shape), weight)
    assert nibbles.pack(np.array([[1, -2], [7, 0]], np.int8)).tolist() == [0xE1, 0x07]
    assert nibbles.stored_bytes(weight) == packed.nbytes


def test_what_is_small_odd_or_of_more_bits_is_not_packed() -> None:
    most = np.full(2048, 7, np.int8)
    assert nibbles.fits(most)
    for other in (most[:1022], np.append(most, np.int8(7)), np.append(most, np.int8([8, 8])), most.astype(np.int32)):
        assert not nibbles.fits(other)
        assert nibbles.stored_bytes(other) == other.nbytes
