"""Which nodes after a layer are its activation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from exporters.layers import Decision
from exporters.layers.activation import find_activation
from exporters.passes import Sparsify

SCALARS = {"three": np.array(3.0), "zero": np.array(0.0), "six": np.array(6.0), "sixth": np.array(1 / 6)}
HARD_SWISH = {
    "the op": "z = HardSwish (c)",
    "hard sigmoid": "g = HardSigmoid <alpha = 0.16666667, beta = 0.5> (c) z = Mul (c, g)",
    "hard sigmoid first": "g = HardSigmoid <alpha = 0.1666667, beta = 0.5> (c) z = Mul (g, c)",
    "divided last": "s = Add (c, three) g = Clip (s, zero, six) m = Mul (c, g) z = Div (m, six)",
    "divided before": "s = Add (three, c) g = Clip (s, zero, six) d = Div (g, six) z = Mul (d, c)",
    "times a sixth last": "s = Add (c, three) g = Clip (s, zero, six) m = Mul (c, g) z = Mul (m, sixth)",
    "times a sixth before": "s = Add (c, three) g = Clip (s, zero, six) d = Mul (sixth, g) z = Mul (c, d)",
}
SILU = {
    "sigmoid": "g = Sigmoid (c) z = Mul (c, g)",
    "sigmoid first": "g = Sigmoid (c) z = Mul (g, c)",
}
OTHER = {
    "hard sigmoid of a fifth": "g = HardSigmoid (c) z = Mul (c, g)",
    "hard sigmoid alone": "z = HardSigmoid <alpha = 0.16666667, beta = 0.5> (c)",
    "sigmoid alone": "z = Sigmoid (c)",
    "a sigmoid that others read": "g = Sigmoid (c) m = Mul (c, g) z = Add (m, g)",
    "a product with another": "g = Sigmoid (c) z = Mul (x, g)",
    "a sum that others read": "g = Sigmoid (c) m = Mul (c, g) z = Add (m, c)",
    "a product with itself": "z = Mul (c, c)",
    "shifted by six": "s = Add (c, six) g = Clip (s, zero, six) m = Mul (c, g) z = Div (m, six)",
    "clipped at three": "s = Add (c, three) g = Clip (s, zero, three) m = Mul (c, g) z = Div (m, six)",
    "not divided": "s = Add (c, three) g = Clip (s, zero, six) z = Mul (c, g)",
    "divided by three": "s = Add (c, three) g = Clip (s, zero, six) m = Mul (c, g) z = Div (m, three)",
    "the divisor": "s = Add (c, three) g = Clip (s, zero, six) m = Mul (c, g) z = Div (six, m)",
    "another function in between": "g = Sigmoid (c) t = Tanh (g) z = Mul (c, t)",
}


@pytest.fixture
def after_convolution(
    from_text: Callable, rng: np.random.Generator, make_weight: Callable
) -> Callable[[str], ir.Model]:
    def make(nodes: str) -> ir.Model:
        head = "main (float[n, 8, 6, 6] x) => (float[n, 8, 6, 6] z) <float[n, 8, 6, 6] c>"
        text = f"{head} {{ c = Conv (x, w, b) {nodes} }}"
        arrays = {"w": make_weight(rng, (8, 8, 1, 1)), "b": rng.normal(size=8), **SCALARS}
        model: ir.Model = from_text(text, {name: array for name, array in arrays.items() if name in text})
        for node in model.graph:
            node.name = node.outputs[0].name
        return model

    return make


@pytest.mark.parametrize(
    ("nodes", "op"),
    [*((text, "CsrConvHardSwish") for text in HARD_SWISH.values()), *((text, "CsrConvSilu") for text in SILU.values())],
    ids=[*HARD_SWISH, *SILU],
)
def test_each_form_becomes_one_op_that_computes_the_same(
    nodes: str,
    op: str,
    after_convolution: Callable,
    rng: np.random.Generator,
    run_stock: Callable,
    with_bodies: Callable,
) -> None:
    model = after_convolution(nodes)
    x = 4 * rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    want, _ = run_stock(with_bodies(model), {"x": x})
    Sparsify(lambda info: Decision(True, "test"))(model)
    assert [node.op_type for node in model.graph] == [op]
    proto = with_bodies(model)
    onnx.checker.check_model(proto, full_check=True)
    np.testing.assert_allclose(run_stock(proto, {"x": x})[0], want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("nodes", OTHER.values(), ids=list(OTHER))
def test_what_is_another_function_stays(nodes: str, after_convolution: Callable) -> None:
    model = after_convolution(nodes)
    convolution = next(node for node in model.graph if node.op_type == "Conv")
    assert find_activation(convolution.outputs[0]).nodes == ()


def test_a_sum_is_activated_after_the_residual(from_text: Callable, make_weight: Callable) -> None:
    rng = np.random.default_rng(0)
    text = """
    main (float[n, 8, 6, 6] x) => (float[n, 8, 6, 6] z) <float[n, 8, 6, 6] c, float[n, 8, 6, 6] s, float[n, 8, 6, 6] g>
    { c = Conv (x, w, b) s = Add (c, x) g = Sigmoid (s) z = Mul (s, g) }
    """
    model = from_text(text, {"w": make_weight(rng, (8, 8, 1, 1)), "b": rng.normal(size=8)})
    Sparsify(lambda info: Decision(True, "test"))(model)
    assert [node.op_type for node in model.graph] == ["CsrConvAddSilu"]
