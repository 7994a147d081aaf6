"""The sparse matrix product of every ISA against float64 sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_isas import isas_of

from runtimes.bindings import Kernels
from runtimes.packed_weights import Csr

ISAS = isas_of("csr_gemm")


@pytest.mark.parametrize("isa", ISAS)
def test_sizes_and_sparsity(
    isa: str, kernels: Callable[[str], Kernels], guarded: Any, random_sparse: Any, within_bound: Any
) -> None:
    rng = np.random.default_rng(1)
    for m, k, n, sparsity in itertools.product((1, 4, 10, 33, 100), (1, 7, 64, 513), (1, 3), (0.0, 0.5, 0.9, 1.0)):
        weights, x = random_sparse(rng, m, k, sparsity), rng.standard_normal((n, k), np.float32)
        bias = rng.standard_normal(m, np.float32)
        exact = x.astype(np.float64) @ weights.T.astype(np.float64) + bias
        size = abs(x).astype(np.float64) @ abs(weights.T).astype(np.float64) + abs(bias)
        results = []
        for guarded.at_end, threads in ((True, 1), (False, 2), (True, 3)):
            plan = kernels(isa).csr_gemm(Csr.of(weights), bias, k, (-1.0, 2.0))
            y = guarded.array(np.full((n, m), np.nan, np.float32))
            plan.bind(guarded.array(x), y, threads=threads)()
            within_bound(y, exact, size, (weights != 0).sum(1), (-1.0, 2.0))
            results.append(y.copy())
        guarded.release()
        assert all((result.view(np.int32) == results[0].view(np.int32)).all() for result in results)


@pytest.mark.parametrize("isa", ISAS)
def test_more_features_than_16_bits_number(isa: str, kernels: Callable[[str], Kernels], within_bound: Any) -> None:
    weights = np.zeros((3, 70000), np.float32)
    weights[0, 69999], weights[2, ::1000] = 2, 3
    x = np.random.default_rng(2).standard_normal((1, 70000), np.float32)
    y = kernels(isa).csr_gemm(Csr.of(weights), np.ones(3, np.float32), 70000).run(x)
    exact, size = x.astype(np.float64) @ weights.T + 1, abs(x).astype(np.float64) @ weights.T + 1
    within_bound(y, exact, size, (weights != 0).sum(1), (-np.inf, np.inf))


@pytest.mark.parametrize("isa", ISAS)
def test_special_values_touch_only_the_rows_that_use_them(isa: str, kernels: Callable[[str], Kernels]) -> None:
    weights = np.zeros((40, 30), np.float32)
    weights[3, 5], weights[4, 6], weights[5, 7], weights[39, :] = 1, 1, np.inf, 1
    x = np.ones((1, 30), np.float32)
    x[0, 5], x[0, 6] = np.nan, -np.inf
    y = kernels(isa).csr_gemm(Csr.of(weights), np.full(40, 0.25, np.float32), 30, (0.0, 6.0)).run(x)[0]
    assert np.isnan(y).nonzero()[0].tolist() == [3, 39]
    assert (y[4], y[5]) == (0, 6)
    assert (np.delete(y, [3, 4, 5, 39]) == 0.25).all()
