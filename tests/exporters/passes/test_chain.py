"""Runs of convolutions become one node, which computes what they computed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import runtimes
from exporters import Decision, describe, inspect, load, save, to_bytes, to_sparse
from exporters.ops import CHAINS
from exporters.passes.chain import _best_cut, _Link, _saved

SIDE = 48
FLOAT = TensorProto.FLOAT


# name, output channels, kernel, stride, whether depthwise, whether clipped, whose output is added
LAYERS = (
    ("stem", 8, 3, 2, False, True, None),
    ("first.depthwise", 8, 3, 1, True, True, None),
    ("first.project", 6, 1, 1, False, False, None),
    ("second.expand", 24, 1, 1, False, True, None),
    ("second.depthwise", 24, 3, 1, True, True, None),
    ("second.project", 6, 1, 1, False, False, "first.project"),
    ("third.expand", 24, 1, 1, False, True, None),
    ("third.depthwise", 24, 3, 2, True, True, None),
    ("third.project", 12, 1, 1, False, False, None),
    ("last", 16, 1, 1, False, True, None),
)


@pytest.fixture(scope="module")
def dense() -> onnx.ModelProto:
    """Inverted residuals, as a MobileNetV2 has them."""
    rng = np.random.default_rng(0)
    nodes, arrays, value, channels, side = [], dict[str, np.ndarray](), "input", 1, SIDE
    made = []
    for name, out, kernel, stride, depthwise, clipped, added in LAYERS:
        weight = rng.standard_normal((out, 1 if depthwise else channels, kernel, kernel)).astype(np.float32)
        weight[rng.random(weight.shape) < (0.0 if kernel > 1 else 0.6)] = 0
        arrays |= {f"{name}.weight": weight, f"{name}.bias": rng.standard_normal(out).astype(np.float32)}
        window = {"strides": [stride] * 2, "pads": [kernel // 2] * 4, "dilations": [1, 1]}
        inputs = [value, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [name], name, group=out if depthwise else 1, **window))
        side, channels, value = -(-side // stride), out, name
        made.append(helper.make_tensor_value_info(value, FLOAT, ["n", out, side, side]))
        for op, extra in (("Add", [added] if added else []), ("Clip", ["low", "high"] if clipped else [])):
            if extra:
                nodes.append(helper.make_node(op, [value, *extra], [f"{name}.{op}"], f"{name}.{op}"))
                value = f"{name}.{op}"
                made.append(helper.make_tensor_value_info(value, FLOAT, ["n", out, side, side]))
    arrays |= {"low": np.float32(0), "high": np.float32(6)}
    tensors = [numpy_helper.from_array(np.asarray(array), key) for key, array in arrays.items()]
    ends = helper.make_tensor_value_info("input", FLOAT, ["n", 1, SIDE, SIDE]), made.pop()
    graph = helper.make_graph(nodes, "mobile", [ends[0]], [ends[1]], tensors, value_info=made)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def always(_: Any) -> Decision:
    return Decision(sparse=True, reason="test")


@pytest.mark.parametrize("cache", [20 << 10, 60 << 10])
def test_the_network_stays_what_it_was(
    dense: onnx.ModelProto, cache: int, run_stock: Callable, tmp_path: Path, rng: np.random.Generator
) -> None:
    plain, both = to_sparse(dense, always), to_sparse(dense, always, cache_bytes=cache, apart=True)
    chained = replace(both, model=both.apart)
    assert chained.layers == plain.layers
    ops = Counter(node.op_type for node in chained.model.graph.node)
    assert sum(count for op, count in ops.items() if op.startswith("ConvChain")) >= 2
    onnx.checker.check_model(chained.model, full_check=True)
    x = rng.normal(size=(2, 1, SIDE, SIDE)).astype(np.float32)
    want = run_stock(plain.model, {"input": x})[0]
    got, folded = run_stock(chained.model, {"input": x})
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert "ScatterElements" not in folded
    ours = [runtimes.session(to_bytes(model.model), threads=2).run(None, {"input": x})[0] for model in (plain, chained)]
    np.testing.assert_array_equal(ours[1], ours[0])
    np.testing.assert_allclose(ours[1], want, rtol=1e-4, atol=1e-4)

    paths = tmp_path / "plain.onnx", tmp_path / "chained.onnx"
    save(plain.model, paths[0])
    save(chained.model, paths[1])
    load(paths[1])  # as it loads whatever comes from elsewhere
    assert inspect(paths[1]).layers == inspect(paths[0]).layers


def test_a_cache_that_holds_everything_leaves_single_nodes(dense: onnx.ModelProto) -> None:
    assert to_bytes(to_sparse(dense, always, cache_bytes=1 << 30, apart=True).apart) == to_bytes(
        to_sparse(dense, always).model
    )


@pytest.mark.parametrize(
    ("letters", "width", "saves"),
    [("DP", 17, True), ("DA", 17, True), ("DP", 16, False), ("PD", 17, False)],
)
def test_what_is_fed_counts_from_a_quarter_of_the_cache_on(letters: str, width: int, saves: bool) -> None:
    run = [_Link(None, letter, 8, width, width, 1, 3 if letter == "D" else 1) for letter in letters]  # type: ignore[arg-type]
    assert _saved(run, 3 * run[0].bytes) == saves * run[0].bytes
    assert _saved(run, 5 * run[0].bytes) == 0


def test_what_others_read_is_not_inside_a_chain(dense: onnx.ModelProto) -> None:
    """Blocks with a residual begin at an activation that is read twice."""
    model = to_sparse(dense, always, cache_bytes=20 << 10, apart=True).apart
    made = {name for node in model.graph.node for name in node.output}
    read = {name for node in model.graph.node for name in node.input}
    assert made - read == {value.name for value in model.graph.output}
    assert all(not name or name in made | {"input"} for node in model.graph.node for name in node.input[:1])
    assert len(describe(dense).layers) == len(to_sparse(dense, always, cache_bytes=20 << 10, apart=True).layers)


@st.composite
def runs(draw: st.DrawFn) -> list[_Link]:
    """Runs of a MobileNet's layers, of random widths."""
    letters = draw(st.text("SDPA", min_size=1, max_size=9))
    height, found = draw(st.sampled_from([8, 56, 112])), []
    for letter in letters:
        stride = draw(st.sampled_from([1, 2])) if letter in "SD" else 1
        height = max(1, height // stride)
        channels = draw(st.sampled_from([8, 64]))
        found.append(_Link(None, letter, channels, height, height, stride, 3 if letter in "SD" else 1))  # type: ignore[arg-type]
    return found


@given(runs(), st.sampled_from([1 << 14, 1 << 18, 1 << 20]))
def test_no_other_cut_saves_more(run: list[_Link], cache: int) -> None:
    def most(begin: int) -> int:
        if begin >= len(run):
            return 0
        letters = "".join(link.letter for link in run[begin:])
        ends = [begin + len(pattern) for pattern in CHAINS if letters.startswith(pattern)]
        return max(most(begin + 1), *(_saved(run[begin:end], cache) + most(end) for end in ends), 0)

    chosen = _best_cut(run, cache)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(chosen))
    assert sum(_saved(run[begin:end], cache) for begin, end in chosen) == most(0)
