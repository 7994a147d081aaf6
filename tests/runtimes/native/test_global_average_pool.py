"""The pooling of every ISA: the mean to within rounding, special values, the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from kernel_isas import isas_of

from runtimes.bindings import Kernels

ISAS = isas_of("global_average_pool")


@pytest.mark.parametrize("isa", ISAS)
def test_means_of_planes_of_any_size(isa: str, kernels: Callable[[str], Kernels]) -> None:
    rng = np.random.default_rng(1)
    plan = kernels(isa).global_average_pool()
    for planes, (height, width) in ((1, (1, 1)), (15, (7, 7)), (17, (1, 3)), (33, (8, 8)), (64, (112, 112))):
        x = rng.standard_normal((planes, 1, height, width), np.float32)
        y = [plan.run(x, threads=threads) for threads in (1, 2, 3)]
        size = abs(x.astype(np.float64)).mean((2, 3))
        exact = x.astype(np.float64).mean((2, 3))
        assert (abs(y[0][:, :, 0, 0] - exact) <= height * width * 2.0**-24 * size).all()
        assert all(one.tobytes() == y[0].tobytes() for one in y)


@pytest.mark.parametrize("isa", ISAS)
def test_special_values_stay_in_their_planes(isa: str, kernels: Callable[[str], Kernels]) -> None:
    x = np.ones((6, 1, 5, 5), np.float32)
    x[0, 0, 2, 2], x[1, 0, 4, 4], x[2, 0, 0, 0], x[3], x[4] = np.nan, np.inf, -np.inf, -0.0, 1e-41
    x[5, 0, 0, :2] = np.inf, -np.inf
    y = kernels(isa).global_average_pool().run(x).ravel()
    np.testing.assert_array_equal(y, np.array([np.nan, np.inf, -np.inf, 0, 1e-41, np.nan], np.float32))
    assert not np.signbit(y[3])
