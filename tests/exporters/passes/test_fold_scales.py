"""Scales after convolutions, and views of constants: what is folded, and that it computes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from exporters.passes import FoldScales, FoldViews
from exporters.serialize import to_proto

TEXT = """
main (float[n, 4, 6, 6] x) => (float[n, 8, 6, 6] z) {{
  c = Conv <pads = [1, 1, 1, 1]> (x, w{bias})
  {rest}
}}
"""
FOLDED = {
    "batch norm": ("z = BatchNormalization <epsilon = 0.1> (c, g, b, m, v)", ["Conv"]),
    "batch norm, then a scale and a shift": (
        "n = BatchNormalization (c, g, b, m, v) s = Unsqueeze (g, axes) p = Mul (s, n) "
        "t = Unsqueeze (b, axes) z = Add (p, t)",
        ["Conv", "Add"],
    ),
    "a number": ("z = Mul (c, two)", ["Conv"]),
    "a sum of two": ("r = Relu (c) z = Sum (c, r)", ["Conv", "Relu", "Add"]),
}
KEPT = {
    "a sum that is read twice": "p = Mul (c, two) z = Add (p, c)",
    "a scale a pixel": "z = Mul (c, map)",
    "a scale of the network's own": "h = HardSigmoid (c) z = Mul (c, h)",
}


def built(from_text: Callable, rng: np.random.Generator, rest: str, bias: str) -> ir.Model:
    arrays = {name: rng.uniform(0.5, 2, 8) for name in ("g", "b", "m", "v")}
    arrays |= {"w": rng.normal(size=(8, 4, 3, 3)), "two": np.array(2.0), "map": rng.normal(size=(6, 6))}
    arrays["axes"] = np.array([1, 2], np.int64)
    model: ir.Model = from_text(TEXT.format(bias=", b" if bias else "", rest=rest), arrays)
    return model


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", FOLDED)
def test_what_follows_a_convolution_goes_into_it(
    name: str, bias: bool, from_text: Callable, rng: np.random.Generator, run_stock: Callable
) -> None:
    text, expected = FOLDED[name]
    model = built(from_text, rng, text, "b" if bias else "")
    x = {"x": rng.normal(size=(2, 4, 6, 6)).astype(np.float32)}
    want = run_stock(to_proto(model), x)[0]
    FoldViews()(model)
    assert FoldScales()(model).modified
    assert [node.op_type for node in model.graph] == expected
    proto = to_proto(model)
    onnx.checker.check_model(proto)
    np.testing.assert_allclose(run_stock(proto, x)[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KEPT)
def test_all_else_stays(name: str, from_text: Callable, rng: np.random.Generator) -> None:
    model = built(from_text, rng, KEPT[name], "")
    assert not FoldScales()(model).modified


def test_a_view_of_a_view_is_a_constant(from_text: Callable, rng: np.random.Generator) -> None:
    text = """
    main (float[n, 4] x) => (float[n, 8] z) {
      t = Transpose (w)
      i = Identity (t)
      z = MatMul (x, i)
    }
    """
    weight = rng.normal(size=(8, 4)).astype(np.float32)
    model = from_text(text, {"w": weight})
    assert FoldViews()(model).modified
    (node,) = model.graph
    assert node.inputs[1] is not None and node.inputs[1].const_value is not None
    np.testing.assert_array_equal(node.inputs[1].const_value.numpy(), weight.T)
    assert not FoldViews()(model).modified
