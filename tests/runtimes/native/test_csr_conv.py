"""The sparse convolution of every ISA against float64 sums with a bound that follows from the number of terms."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from kernel_isas import isas_of

from runtimes.bindings import Kernels
from runtimes.packed_weights import Csr
from runtimes.structures import geometry

ISAS = isas_of("csr_conv")
Check = Callable[[str], Callable[..., None]]
Sparse = Callable[..., np.ndarray]


@pytest.mark.parametrize("isa", ISAS)
def test_pixel_tiles(isa: str, checker: Check, random_sparse: Sparse) -> None:
    rng = np.random.default_rng(1)
    for pixels in (
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        9,
        15,
        16,
        17,
        31,
        33,
        36,
        49,
        63,
        64,
        65,
        100,
        127,
        128,
        129,
        196,
        255,
        257,
        400,
    ):
        x = rng.standard_normal((1, 20, 1, pixels), np.float32)
        checker(isa)("csr_conv", x, random_sparse(rng, 6, 20, 0.5), clip=(0, 6))


@pytest.mark.parametrize("isa", ISAS)
def test_channels_and_sparsity(isa: str, checker: Check, random_sparse: Sparse) -> None:
    rng = np.random.default_rng(2)
    for k, m, sparsity in itertools.product((1, 2, 127, 128, 129, 300), (1, 3, 64, 65, 130), (0.0, 0.5, 0.9, 1.0)):
        checker(isa)("csr_conv", rng.standard_normal((1, k, 3, 3), np.float32), random_sparse(rng, m, k, sparsity))


@pytest.mark.parametrize("isa", ISAS)
def test_batch_strides_pads_and_residual(isa: str, checker: Check, random_sparse: Sparse) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((3, 130, 7, 9), np.float32)
    weights = random_sparse(rng, 70, 130, 0.8)
    weights[5] = 0
    for stride, pads, residual in itertools.product((1, 2, 3), ((0, 0, 0, 0), (1, 0, 2, 3)), (False, True)):
        checker(isa)("csr_conv", x, weights, stride=stride, pads=pads, residual=residual, clip=(-0.5, 1.0))


@pytest.mark.parametrize("isa", ISAS)
def test_windows(isa: str, checker: Check, random_sparse: Sparse) -> None:
    rng = np.random.default_rng(4)
    for kernel, stride, dilation in itertools.product((2, 3, 5), (1, 2), (1, 2)):
        x = rng.standard_normal((2, 9, 13, 19), np.float32)
        checker(isa)("csr_conv", x, random_sparse(rng, 10, 9 * kernel * kernel, 0.7), kernel=kernel, stride=stride,
              pads=(1, 2, 2, 1), dilation=dilation, residual=True, clip=(0, np.inf))  # fmt: skip


@pytest.mark.parametrize("isa", ISAS)
def test_windows_on_rows_of_many_lengths_and_channels(isa: str, checker: Check, random_sparse: Sparse) -> None:
    rng = np.random.default_rng(6)
    for channels, (height, width), stride in itertools.product(
        (1, 33, 65), ((7, 7), (14, 14), (3, 34), (2, 70), (3, 300)), (1, 2)
    ):
        x = rng.standard_normal((1, channels, height, width), np.float32)
        weights = random_sparse(rng, 5, 9 * channels, 0.8)
        checker(isa)("csr_conv", x, weights, kernel=3, stride=stride, pads=(1,) * 4, clip=(0, 6))


@pytest.mark.parametrize("isa", ISAS)
def test_an_output_that_no_second_level_cache_holds(isa: str, checker: Check, random_sparse: Sparse) -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((1, 8, 56, 57), np.float32)
    checker(isa)("csr_conv", x, random_sparse(rng, 70, 8, 0.8), residual=True, clip=(0, 6))


@pytest.mark.parametrize("isa", ISAS)
def test_one_row_of_one_column(isa: str, checker: Check) -> None:
    checker(isa)("csr_conv", np.ones((1, 1, 1, 1), np.float32), np.full((1, 1), 3, np.float32))


@pytest.mark.parametrize("isa", ISAS)
def test_special_values_as_in_the_reference(isa: str, kernels: Callable[[str], Kernels], random_sparse: Sparse) -> None:
    rng = np.random.default_rng(5)
    weights = random_sparse(rng, 33, 140, 0.7)
    weights[1, 7], weights[2, 9], weights[3, 11] = np.inf, np.nan, 1e-40
    x = rng.standard_normal((1, 140, 5, 5), np.float32)
    x[0, 3, 0, :3] = np.nan, np.inf, -np.inf
    x[0, 20:40, 2] = -0.0
    x[0, 40:60, 3] = 1e-41
    arguments = (Csr.of(weights), np.zeros(33, np.float32), geometry(33, 140), (0.0, 6.0))
    y, expected = (kernels(name).csr_conv(*arguments).run(x) for name in (isa, "reference"))
    assert (np.isnan(y) == np.isnan(expected)).all()
    assert np.isnan(y).any() and (y == 6).any() and (y == 0).any()
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("isa", ISAS)
def test_an_empty_row_is_its_bias_whatever_the_input(isa: str, kernels: Callable[[str], Kernels]) -> None:
    x = np.full((1, 200, 4, 5), np.nan, np.float32)
    bias = np.array([1.5, -2, np.nan], np.float32)
    plan = kernels(isa).csr_conv(Csr.of(np.zeros((3, 200), np.float32)), bias, geometry(3, 200), (-1, 1))
    np.testing.assert_array_equal(plan.run(x)[0, :, 0, 0], np.array([1, -1, np.nan], np.float32))
