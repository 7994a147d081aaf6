"""A pooling of ours stands behind ops of ours only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from exporters.layers import Decision
from exporters.passes import KeepPools, Sparsify

HEAD = "main (float[n, 8, 6, 6] x) => (float[n, 8, 1, 1] z) <float[n, 8, 6, 6] c, float[n, 8, 6, 6] d>"


@pytest.mark.parametrize(
    ("nodes", "ours"),
    [
        ("c = Conv (x, w, b) z = GlobalAveragePool (c)", True),
        ("c = Conv (x, w, b) s = Sigmoid (c) m = Mul (s, two) z = GlobalAveragePool (m)", True),
        ("c = Conv (x, w, b) d = Conv (c, w, b) m = Mul (c, d) z = GlobalAveragePool (m)", False),
        ("c = Conv (x, w, b) m = Mul (c, x) z = GlobalAveragePool (m)", False),
        ("c = Conv (x, w, b) m = MaxPool <kernel_shape = [2, 2]> (c) z = GlobalAveragePool (m)", False),
        ("c = Conv (x, w, b) z = GlobalMaxPool (c)", False),
    ],
)
def test_which_poolings_become_ours(
    nodes: str, ours: bool, from_text: Callable, make_weight: Callable, run_stock: Callable, with_bodies: Callable
) -> None:
    rng = np.random.default_rng(0)
    arrays = {"w": make_weight(rng, (8, 8, 1, 1)), "b": rng.normal(size=8), "two": np.array(2.0)}
    text = f"{HEAD} {{ {nodes} }}"
    model = from_text(text, {name: array for name, array in arrays.items() if name in text})
    for node in model.graph:
        node.name = node.outputs[0].name
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    want, _ = run_stock(with_bodies(model), {"x": x})
    Sparsify(lambda info: Decision(info.name == "c", "test"))(model)
    assert KeepPools()(model).modified == ours
    last = list(model.graph)[-1]
    assert (last.domain, last.outputs[0].name) == ("chita.edge" if ours else "", "z")
    np.testing.assert_allclose(run_stock(with_bodies(model), {"x": x})[0], want, rtol=1e-5, atol=1e-5)
