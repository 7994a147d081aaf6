"""A Pad of zeros before a convolution becomes the convolution's pads; the outputs stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from exporters.passes import FoldPads

IMAGE = "main (float[n, 4, 7, 6] x) => (float[n, 5, h, w] z)"
SIGNAL = "main (float[n, 4, 9] x) => (float[n, 5, w] z)"


@pytest.mark.parametrize(
    ("head", "nodes", "pads", "own"),
    [
        (IMAGE, "p = Pad (x, pads) z = Conv (p, w, b)", [0, 0, 1, 0, 0, 0, 2, 3], (1, 0, 2, 3)),
        (IMAGE, "p = Pad (x, pads) z = Conv <pads = [1, 1, 0, 2]> (p, w, b)", [0, 0, 1, 0, 0, 0, 2, 3], (2, 1, 2, 5)),
        (IMAGE, 'p = Pad (x, pads) z = Conv <auto_pad = "VALID"> (p, w, b)', [0, 0, 1, 1, 0, 0, 1, 1], (1, 1, 1, 1)),
        (SIGNAL, "p = Pad (x, pads) z = Conv (p, w, b)", [0, 0, 2, 0, 0, 1], (2, 1)),
        (IMAGE, "p = Pad (x, pads) y = Relu (p) z = Conv (y, w, b)", [0, 0, 1, 1, 0, 0, 1, 1], None),
        (IMAGE, "p = Pad (x, pads) z = Conv (p, w, b)", [0, 0, 1, 1, 0, 0, -1, 1], None),
        (IMAGE, 'p = Pad (x, pads) z = Conv <auto_pad = "SAME_UPPER"> (p, w, b)', [0, 0, 1, 1, 0, 0, 1, 1], None),
        (IMAGE, 'p = Pad <mode = "edge"> (x, pads) z = Conv (p, w, b)', [0, 0, 1, 1, 0, 0, 1, 1], None),
        (IMAGE, "p = Pad (x, pads, one) z = Conv (p, w, b)", [0, 0, 1, 1, 0, 0, 1, 1], None),
    ],
)
def test_which_pads_are_taken_in(
    head: str,
    nodes: str,
    pads: list[int],
    own: tuple[int, ...] | None,
    from_text: Callable,
    make_weight: Callable,
    run_stock: Callable,
    with_bodies: Callable,
) -> None:
    rng = np.random.default_rng(0)
    sides = (3, 2) if head is IMAGE else (3,)
    arrays = {
        "w": make_weight(rng, (5, 4, *sides)),
        "b": rng.normal(size=5),
        "pads": np.array(pads),
        "one": np.ones(()),
    }
    text = f"{head} {{ {nodes} }}"
    model = from_text(text, {name: array for name, array in arrays.items() if f" {name}" in text})
    x = rng.normal(size=(2, 4, 7, 6) if head is IMAGE else (2, 4, 9)).astype(np.float32)
    want, _ = run_stock(with_bodies(model), {"x": x})
    assert FoldPads()(model).modified == (own is not None)
    (conv,) = [node for node in model.graph if node.op_type == "Conv"]
    if own is not None:
        assert [node.op_type for node in model.graph] == ["Conv"]
        assert tuple(conv.attributes["pads"].as_ints()) == own
    np.testing.assert_allclose(run_stock(with_bodies(model), {"x": x})[0], want, rtol=1e-5, atol=1e-5)


def test_a_pad_stays_for_who_else_reads_it(from_text: Callable, make_weight: Callable) -> None:
    rng = np.random.default_rng(0)
    head = "main (float[n, 4, 7, 6] x) => (float[n, 5, h, w] z, float[n, 4, 9, 8] p)"
    text = f"{head} {{ p = Pad (x, pads) z = Conv (p, w, b) }}"
    arrays = {"w": make_weight(rng, (5, 4, 3, 3)), "b": rng.normal(size=5), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    model = from_text(text, arrays)
    assert FoldPads()(model).modified
    assert sorted(node.op_type for node in model.graph) == ["Conv", "Pad"]
