"""The dense convolution of every ISA against float64 sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from kernel_isas import isas_of

from runtimes.bindings import Kernels
from runtimes.structures import geometry

ISAS = isas_of("dense_conv")
Check = Callable[[str], Callable[..., None]]


@pytest.mark.parametrize("isa", ISAS)
def test_first_layers(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(1)
    for channels, outs, side in itertools.product((1, 3), (1, 3, 4, 16, 33), (7, 32, 70, 96)):
        x = rng.standard_normal((1, channels, side, side + 1), np.float32)
        weights = rng.standard_normal((outs, channels * 9), np.float32)
        checker(isa)("dense_conv", x, weights, kernel=3, stride=2, pads=(1,) * 4, clip=(0, 6))


@pytest.mark.parametrize("isa", ISAS)
def test_row_tiles(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(2)
    for width in (1, 2, 3, 4, 5, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 112):
        x = rng.standard_normal((1, 2, 3, width), np.float32)
        checker(isa)("dense_conv", x, rng.standard_normal((5, 18), np.float32), kernel=3, pads=(1,) * 4)


@pytest.mark.parametrize("isa", ISAS)
def test_other_windows_batch_and_uneven_pads(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(3)
    cases = itertools.product((1, 2, 3, 7), (1, 2, 3), (1, 2), ((0, 0, 0, 0), (0, 1, 2, 3), (3, 2, 1, 0)))
    for kernel, stride, dilation, pads in cases:
        x = rng.standard_normal((3, 3, 15, 21), np.float32)
        weights = rng.standard_normal((6, 3 * kernel * kernel), np.float32)
        checker(isa)("dense_conv", x, weights, kernel=kernel, stride=stride, dilation=dilation, pads=pads, clip=(-1, 1))


@pytest.mark.parametrize("isa", ISAS)
def test_many_channels(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, 70, 30, 30), np.float32)
    checker(isa)("dense_conv", x, rng.standard_normal((9, 630), np.float32), kernel=3, pads=(1,) * 4)


@pytest.mark.parametrize("isa", ISAS)
def test_special_values_stay_in_their_windows(isa: str, kernels: Callable[[str], Kernels]) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1, 2, 20, 20), np.float32)
    x[0, 0, 4, 4], x[0, 0, 10, 19], x[0, 1, 0, 0] = np.nan, np.inf, -np.inf
    weights = rng.standard_normal((3, 2, 3, 3), np.float32)
    arguments = ("dense_conv", weights, np.zeros(3, np.float32), geometry(3, 2, 3), (0.0, 6.0))
    y, expected = (kernels(name).dense(*arguments).run(x) for name in (isa, "reference"))
    assert np.isnan(expected).sum() == 27
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
