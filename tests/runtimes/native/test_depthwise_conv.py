"""The depthwise convolution of every ISA against float64 sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from kernel_isas import isas_of

from runtimes.bindings import Kernels
from runtimes.structures import geometry

ISAS = isas_of("depthwise_conv")
Check = Callable[[str], Callable[..., None]]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", [3, 5])
def test_sizes_and_strides(isa: str, kernel: int, checker: Check) -> None:
    rng = np.random.default_rng(1)
    sizes = [
        (1, 1),
        (3, 3),
        (6, 6),
        (7, 7),
        (4, 15),
        (5, 16),
        (9, 17),
        (14, 14),
        (12, 12),
        (2, 31),
        (3, 33),
        (28, 28),
        (24, 65),
        (25, 5),
        (49, 1),
        (37, 2),
        (21, 3),
        (30, 13),
        (73, 14),
        (74, 14),
    ]
    for (height, width), stride in itertools.product(sizes, (1, 2)):
        x = rng.standard_normal((1, 3, height, width), np.float32)
        pads = (kernel // 2,) * 4
        weights = rng.standard_normal((3, kernel * kernel), np.float32)
        checker(isa)("depthwise_conv", x, weights, kernel=kernel, stride=stride, pads=pads, clip=(0, 6))


@pytest.mark.parametrize("isa", ISAS)
def test_a_plane_that_takes_several_strips(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(2)
    for stride in (1, 2):
        x = rng.standard_normal((1, 2, 150, 131), np.float32)
        checker(isa)(
            "depthwise_conv", x, rng.standard_normal((2, 9), np.float32), kernel=3, stride=stride, pads=(1,) * 4
        )


@pytest.mark.parametrize("isa", ISAS)
def test_other_windows_batch_and_uneven_pads(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(3)
    cases = itertools.product((1, 2, 3, 4), (1, 2, 3), (1, 2), ((0, 0, 0, 0), (0, 1, 2, 3), (3, 2, 1, 0)))
    for kernel, stride, dilation, pads in cases:
        x = rng.standard_normal((3, 4, 11, 21), np.float32)
        weights = rng.standard_normal((4, kernel * kernel), np.float32)
        checker(isa)(
            "depthwise_conv", x, weights, kernel=kernel, stride=stride, dilation=dilation, pads=pads, clip=(-1, 1)
        )


@pytest.mark.parametrize("isa", ISAS)
def test_special_values_stay_in_their_windows(isa: str, kernels: Callable[[str], Kernels]) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, 2, 20, 20), np.float32)
    x[0, 0, 4, 4], x[0, 0, 10, 19], x[0, 1, 0, 0] = np.nan, np.inf, -np.inf
    weights = rng.standard_normal((2, 1, 3, 3), np.float32)
    arguments = ("depthwise_conv", weights, np.zeros(2, np.float32), geometry(2, 2, 3), (0.0, 6.0))
    y, expected = (kernels(name).dense(*arguments).run(x) for name in (isa, "reference"))
    assert np.isnan(expected).sum() == 9
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
