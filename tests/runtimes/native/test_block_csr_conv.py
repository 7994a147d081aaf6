"""The sparse convolution in blocks of output rows, of every ISA, against float64 sums; grid.c has the other shapes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from kernel_isas import isas_of

from runtimes.bindings import Kernels
from runtimes.packed_weights import Csr
from runtimes.structures import geometry

ISAS = isas_of("block_csr_conv")
Check = Callable[[str], Callable[..., None]]


def in_blocks(rng: np.random.Generator, rows: int, columns: int, block_rows: int, sparsity: float) -> np.ndarray:
    """Signed weights; about ``sparsity`` of the blocks are 0, and of the values within the others one in ten."""
    kept = np.repeat(rng.random((rows // block_rows, columns)) >= sparsity, block_rows, axis=0)
    kept &= rng.random((rows, columns)) > 0.1
    return np.where(kept, rng.standard_normal((rows, columns), np.float32), np.float32(0))


@pytest.mark.parametrize("isa", ISAS)
def test_channels_and_sparsity(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(1)
    for block, k, m, sparsity in itertools.product((2, 4), (1, 129, 515), (4, 132), (0.0, 0.9, 1.0)):
        x = rng.standard_normal((1, k, 3, 5), np.float32)
        checker(isa)("block_csr_conv", x, in_blocks(rng, m, k, block, sparsity), block_rows=block)


@pytest.mark.parametrize("isa", ISAS)
def test_windows_strides_pads_and_residual(isa: str, checker: Check) -> None:
    rng = np.random.default_rng(2)
    for block, kernel, stride, dilation in itertools.product((2, 4), (1, 3, 5), (1, 2), (1, 2)):
        x = rng.standard_normal((2, 35, 9, 19), np.float32)
        weights = in_blocks(rng, 8, 35 * kernel * kernel, block, 0.8)
        checker(isa)("block_csr_conv", x, weights, kernel=kernel, stride=stride, pads=(1, 2, 2, 1), dilation=dilation,
                     residual=True, clip=(0, np.inf), block_rows=block)  # fmt: skip


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("block", [2, 4])
def test_the_same_as_csr_of_the_same_weights(isa: str, block: int, kernels: Callable[[str], Kernels]) -> None:
    """Also where inputs are not finite: a value that is 0 in a block is one that CSR leaves out, so there are none."""
    rng = np.random.default_rng(3)
    weights = in_blocks(rng, 24, 200, block, 0.7)
    weights[weights == 0] = (np.repeat((weights.reshape(-1, block, 200) != 0).any(1), block, 0) * 0.5)[weights == 0]
    weights[:block, 3] = 1
    bias, window = rng.standard_normal(24, np.float32), geometry(24, 200)
    x = rng.standard_normal((1, 200, 5, 7), np.float32)
    x[0, 3, 0, :3] = np.nan, np.inf, -np.inf
    x[0, 20:40, 2], x[0, 40:60, 3] = -0.0, 1e-41
    y = kernels(isa).block_csr_conv(Csr.of_blocks(weights, block), bias, window, (0, 6)).run(x)
    expected = kernels("reference").csr_conv(Csr.of(weights), bias, window, (0, 6)).run(x)
    assert np.isnan(y).any()
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
