from __future__ import annotations

import pytest
import torch

from chita_edge.pruning.linalg.gram import dual_gram, gram


@pytest.mark.parametrize("fast", [False, True, None])
@pytest.mark.parametrize(("m", "n"), [(1, 3), (40, 70), (130, 300)])
def test_both_equal_the_product_in_float64(m: int, n: int, fast: bool | None) -> None:
    rows = torch.randn(m, n, generator=torch.Generator().manual_seed(m))
    exact = rows.double() @ rows.double().T
    scale = exact.diagonal().sqrt()
    found = gram(rows, fast=fast)
    assert found.dtype == torch.float32
    allowed = 1e-5 if fast is False else 2**-7
    assert float(((found.double() - exact) / scale / scale[:, None]).abs().max()) < allowed
    torch.testing.assert_close(dual_gram(rows.T.contiguous(), fast=fast, chunk=7).double(), exact, rtol=0.02, atol=0.5)
