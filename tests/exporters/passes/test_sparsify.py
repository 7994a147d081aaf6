"""What becomes an op of ours, what is fused into it, what stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from exporters.layers import Decision
from exporters.passes import Sparsify

RESIDUAL = """
main (float[n, 8, 6, 6] x) => (float[n, 8, 6, 6] z)
<float[n, 8, 6, 6] start, float[n, 8, 6, 6] short, float[n, 8, 6, 6] main_path, float[n, 8, 6, 6] sum>
{
  start = Relu (x)
  short = Conv (start, ws, b)
  main_path = Conv (start, wm, b)
  sum = Add (main_path, short)
  z = Relu (sum)
}
"""


def sparsify(model: ir.Model, sparse: Callable[[str], bool]) -> tuple[ir.Model, Sparsify]:
    for node in model.graph:
        node.name = node.outputs[0].name
    step = Sparsify(lambda info: Decision(sparse(info.name), "test"))
    return step(model).model, step


@pytest.fixture
def residual(from_text: Callable, rng: np.random.Generator, make_weight: Callable) -> ir.Model:
    weights = {name: make_weight(rng, (8, 8, 1, 1)) for name in ("ws", "wm")}
    return from_text(RESIDUAL, {**weights, "b": rng.normal(size=8)})


def nodes(model: ir.Model) -> list[tuple[str, str]]:
    return [(node.op_type, node.name) for node in model.graph]


def test_of_two_sparse_convolutions_the_later_takes_the_sum(residual: ir.Model) -> None:
    model, step = sparsify(residual, lambda name: True)
    assert nodes(model) == [("Relu", "start"), ("CsrConv", "short"), ("CsrConvAdd", "main_path")]
    last = list(model.graph)[-1]
    assert [value.name for value in last.inputs][-1] == "short"
    assert last.outputs[0].name == "z"
    assert (last.attributes["clip_min"].as_float(), last.attributes["clip_max"].as_float()) == (0, float("inf"))
    assert [row.op for row in step.reports] == ["CsrConv", "CsrConvAdd"]


@pytest.mark.parametrize("sparse", ["short", "main_path"])
def test_the_sparse_convolution_takes_the_sum(residual: ir.Model, sparse: str) -> None:
    dense = ({"short", "main_path"} - {sparse}).pop()
    model, _ = sparsify(residual, lambda name: name == sparse)
    assert nodes(model) == [("Relu", "start"), ("Conv", dense), ("CsrConvAdd", sparse)]


@pytest.mark.parametrize("sparse", [("short",), ("main_path",), ("short", "main_path")])
def test_output_stays(
    residual: ir.Model, rng: np.random.Generator, run_stock: Callable, with_bodies: Callable, sparse: tuple[str, ...]
) -> None:
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    want, _ = run_stock(with_bodies(residual), {"x": x})
    model, _ = sparsify(residual, lambda name: name in sparse)
    proto = with_bodies(model)
    onnx.checker.check_model(proto, full_check=True)
    np.testing.assert_allclose(run_stock(proto, {"x": x})[0], want, rtol=1e-5, atol=1e-5)


def test_an_activation_that_others_read_around_is_not_fused(
    from_text: Callable, rng: np.random.Generator, make_weight: Callable
) -> None:
    text = """
    main (float[n, 8, 6, 6] x) => (float[n, 8, 6, 6] z) <float[n, 8, 6, 6] c, float[n, 8, 6, 6] r>
    { c = Conv (x, w, b)  r = Relu (c)  z = Mul (c, r) }
    """
    arrays = {"w": make_weight(rng, (8, 8, 1, 1)), "b": rng.normal(size=8)}
    model, _ = sparsify(from_text(text, arrays), lambda name: True)
    assert nodes(model) == [("CsrConv", "c"), ("Relu", "r"), ("Mul", "z")]


@pytest.mark.parametrize(
    ("second", "arrays"),
    [("one", {"one": np.ones((1, 8, 1, 1))}), ("y", {}), ("c", {})],
    ids=["constant", "row", "self"],
)
def test_sums_that_are_no_residual_are_not_fused(
    from_text: Callable, rng: np.random.Generator, make_weight: Callable, second: str, arrays: dict
) -> None:
    text = f"""
    main (float[n, 8, 6, 6] x, float[n, 8, 1, 6] y) => (float[n, 8, 6, 6] z) <float[n, 8, 6, 6] c>
    {{ c = Conv (x, w, b)  z = Add (c, {second}) }}
    """
    arrays = {"w": make_weight(rng, (8, 8, 1, 1)), "b": rng.normal(size=8), **arrays}
    model, _ = sparsify(from_text(text, arrays), lambda name: True)
    assert nodes(model) == [("CsrConv", "c"), ("Add", "z")]


def test_grouped_convolutions_stay(from_text: Callable, rng: np.random.Generator) -> None:
    text = """
    main (float[n, 8, 1, 1] x) => (float[n, 8, 1, 1] p) <float[n, 8, 1, 1] g>
    {
      g = Conv <group = 2> (x, wg, b)
      p = Conv (g, wp, b)
    }"""
    arrays = {"wg": rng.normal(size=(8, 4, 1, 1)), "wp": rng.normal(size=(8, 8, 1, 1)), "b": np.ones(8)}
    model, step = sparsify(from_text(text, arrays), lambda name: True)
    assert [op for op, _ in nodes(model)] == ["Conv", "CsrConv"]
    assert [row.reason for row in step.reports] == ["it is a grouped convolution", "test"]


def test_a_stem_with_a_sum_keeps_it_outside(
    from_text: Callable, rng: np.random.Generator, make_weight: Callable
) -> None:
    text = """
    main (float[n, 3, 6, 6] x, float[n, 8, 6, 6] y) => (float[n, 8, 6, 6] z)
    <float[n, 8, 6, 6] stem, float[n, 8, 6, 6] dw, float[n, 8, 6, 6] sum>
    {
      stem = Conv <pads = [1, 1, 1, 1]> (x, ws, b)
      dw = Conv <group = 8, pads = [1, 1, 1, 1]> (stem, wd, b)
      sum = Add (dw, y)
      z = Conv (sum, wp, b)
    }"""
    arrays = {"ws": rng.normal(size=(8, 3, 3, 3)), "wd": rng.normal(size=(8, 1, 3, 3)), "b": np.ones(8)}
    model, _ = sparsify(from_text(text, {**arrays, "wp": make_weight(rng, (8, 8, 1, 1))}), lambda name: True)
    assert nodes(model) == [("Conv", "stem"), ("Conv", "dw"), ("Add", "sum"), ("CsrConv", "z")]


def test_layers_that_share_weight_and_bias_each_become_sparse(
    from_text: Callable, rng: np.random.Generator, make_weight: Callable, run_stock: Callable, with_bodies: Callable
) -> None:
    text = """
    main (float[n, 8, 6, 6] x) => (float[n, 8, 6, 6] z) <float[n, 8, 6, 6] c>
    { c = Conv (x, w, b)  z = Conv (c, w, b) }
    """
    before = from_text(text, {"w": make_weight(rng, (8, 8, 1, 1)), "b": rng.normal(size=8)})
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    want, _ = run_stock(with_bodies(before), {"x": x})
    model, _ = sparsify(before, lambda name: True)
    assert nodes(model) == [("CsrConv", "c"), ("CsrConv", "z")]
    assert sum(name == "b" for name in model.graph.initializers) == 1
    np.testing.assert_allclose(run_stock(with_bodies(model), {"x": x})[0], want, rtol=1e-5, atol=1e-5)
    assert sum(name.endswith(".values") for name in model.graph.initializers) == 1
