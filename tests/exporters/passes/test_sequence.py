"""Neighbouring small layers become one node, which computes what they computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import runtimes
from exporters import Decision, inspect, load, save, to_bytes, to_sparse
from exporters.passes import sequence

CHANNELS, SIDE = 6, 7
CACHE = 1 << 20
FLOAT = TensorProto.FLOAT


def always(_: Any) -> Decision:
    return Decision(sparse=True, reason="test")


# A layer: output channels' kernel, whether depthwise, which value it reads, which is added (None: none), what follows.
Layer = tuple[int, bool, int, int | None, str]
RESIDUAL: list[Layer] = [
    (3, False, 0, None, "Relu"),
    (3, False, 1, None, "Relu"),
    (1, False, 2, 1, "Relu"),
    (1, False, 3, None, ""),  # a shortcut beside the next two
    (3, True, 3, None, "Relu"),
    (3, False, 5, 4, "Relu"),
]


def network(layers: list[Layer]) -> onnx.ModelProto:
    """Convolutions of equal shapes; value 0 is the input, value i + 1 what layer i makes, the last one the output."""
    rng = np.random.default_rng(len(layers))
    nodes, arrays, values, made = [], dict[str, np.ndarray](), ["input"], []

    def make(op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        made.append(helper.make_tensor_value_info(name, FLOAT, ["n", CHANNELS, SIDE, SIDE]))
        return name

    for index, (kernel, depthwise, source, added, after) in enumerate(layers):
        weight = rng.standard_normal((CHANNELS, 1 if depthwise else CHANNELS, kernel, kernel)).astype(np.float32)
        weight[rng.random(weight.shape) < (0 if depthwise else 0.6)] = 0
        arrays |= {f"w{index}": weight, f"b{index}": rng.standard_normal(CHANNELS).astype(np.float32)}
        window = {"strides": [1, 1], "pads": [kernel // 2] * 4, "dilations": [1, 1]}
        group = CHANNELS if depthwise else 1
        value = make("Conv", [values[source], f"w{index}", f"b{index}"], f"layer{index}", group=group, **window)
        if added is not None:
            value = make("Add", [value, values[added]], f"sum{index}")
        if after:
            value = make(after, [value], f"after{index}")
        values.append(value)
    made[-1].name = values[-1]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", FLOAT, ["n", CHANNELS, SIDE, SIDE])],
        [made.pop()],
        [numpy_helper.from_array(array, key) for key, array in arrays.items()],
        value_info=made,
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def ops(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def check_same(dense: onnx.ModelProto) -> Counter[str]:
    """The bits of single nodes, in batches too, by any number of threads; the ops of the model with sequences."""
    plain, merged = to_sparse(dense, always), to_sparse(dense, always, cache_bytes=CACHE)
    assert merged.layers == plain.layers
    x = np.random.default_rng(1).standard_normal((2, CHANNELS, SIDE, SIDE), np.float32)
    for batch in (x[:1], x):
        want = runtimes.session(to_bytes(plain.model), threads=1).run(None, {"input": batch})[0]
        for threads in (1, 2, 3):
            got = runtimes.session(to_bytes(merged.model), threads=threads).run(None, {"input": batch})[0]
            np.testing.assert_array_equal(got, want)
    return ops(merged.model)


def test_a_residual_network_is_one_node(run_stock: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    dense = network(RESIDUAL)
    assert check_same(dense) == {"ConvSequence": 1}
    plain, merged = to_sparse(dense, always), to_sparse(dense, always, cache_bytes=CACHE)
    onnx.checker.check_model(merged.model, full_check=True)
    x = rng.standard_normal((2, CHANNELS, SIDE, SIDE), np.float32)
    got, folded = run_stock(merged.model, {"input": x})  # by the function's body alone
    np.testing.assert_allclose(got, run_stock(plain.model, {"input": x})[0], rtol=1e-5, atol=1e-5)
    assert "ScatterElements" not in folded
    paths = tmp_path / "plain.onnx", tmp_path / "merged.onnx"
    save(plain.model, paths[0])
    save(merged.model, paths[1])
    load(paths[1])  # as it loads whatever comes from elsewhere
    assert inspect(paths[1]).layers == inspect(paths[0]).layers


TWO: list[Layer] = [
    *RESIDUAL[:3],
    (1, False, 3, None, "Softplus"),
    (1, False, 4, None, ""),
    (3, True, 5, None, ""),
]


def test_two_sequences_of_different_stages_are_two_functions(run_stock: Callable, rng: np.random.Generator) -> None:
    """Of two names: onnx.reference, and ONNX Runtime before 1.27, find a function by its name alone."""
    dense = network(TWO)
    assert check_same(dense) == {"ConvSequence": 1, "ConvSequence2": 1, "Softplus": 1}
    model = to_sparse(dense, always, cache_bytes=CACHE).model
    names = [function.name for function in model.functions]
    assert len(names) == len(set(names)) == 2
    x = rng.standard_normal((1, CHANNELS, SIDE, SIDE), np.float32)
    (want,) = onnx.reference.ReferenceEvaluator(dense).run(None, {"input": x})
    (got,) = onnx.reference.ReferenceEvaluator(model).run(None, {"input": x})
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(run_stock(model, {"input": x})[0], want, rtol=1e-4, atol=1e-4)


def test_equal_sequences_share_a_function() -> None:
    pair: list[Layer] = [(1, False, 0, None, ""), (1, False, 1, None, "Softplus")]
    more: list[Layer] = [(1, False, 2, None, ""), (1, False, 3, None, "Softplus")]
    model = to_sparse(network([*pair, *more]), always, cache_bytes=CACHE).model
    assert ops(model) == {"ConvSequence": 2, "Softplus": 2}
    assert [function.name for function in model.functions] == ["ConvSequence"]


def test_more_texts_than_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts that join the most nodes get the names; the others' nodes stay as they are."""
    monkeypatch.setattr(sequence, "NAMES", ("ConvSequence",))
    assert check_same(network(TWO)) == {"ConvSequence": 1, "Softplus": 1, "CsrConv": 1, "DepthwiseConv": 1}


def test_without_a_cache_and_on_request_layers_stay_nodes() -> None:
    dense = network(RESIDUAL)
    plain = to_bytes(to_sparse(dense, always).model)
    assert to_bytes(to_sparse(dense, always, cache_bytes=CACHE, apart=True).apart) == plain


def test_a_layer_of_much_work_stays_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = network([(1, False, 0, None, ""), (3, True, 1, None, ""), (3, False, 2, None, "")])
    work = [
        SIDE**2 * int(np.count_nonzero(numpy_helper.to_array(weight)))
        for weight in to_sparse(dense, always).model.graph.initializer
        if weight.name.endswith((".values", ".W"))
    ]
    for most, expected in ((max(work), {"ConvSequence": 1}), (max(work) - 1, {"ConvSequence": 1, "CsrConv": 1})):
        monkeypatch.setattr(sequence, "MOST_WORK", most)
        assert check_same(dense) == expected


def test_what_is_needed_elsewhere_ends_a_sequence() -> None:
    """A value that a node of another kind reads, or the network hands out, is not inside of one."""
    dense = network(
        [(1, False, 0, None, ""), (1, False, 1, None, ""), (1, False, 2, None, "Softplus"), (1, False, 3, 2, "")]
    )
    assert check_same(dense)["ConvSequence"] == 1
    dense.graph.output.append(helper.make_tensor_value_info("layer0", FLOAT, ["n", CHANNELS, SIDE, SIDE]))
    kept = to_sparse(dense, always, cache_bytes=CACHE).model
    assert {value.name for value in kept.graph.output} <= {name for node in kept.graph.node for name in node.output}


@st.composite
def networks(draw: st.DrawFn) -> list[Layer]:
    """Every value is read; shortcuts reach back up to four layers."""
    layers: list[Layer] = []
    for index in range(draw(st.integers(2, 9))):
        back = draw(st.integers(max(0, index - 4), index))
        source, added = draw(st.sampled_from([(index, None), (index, back), (back, index)]))
        kernel, after = draw(st.sampled_from([1, 3])), draw(st.sampled_from(["", "Relu"]))
        depthwise = kernel == 3 and added is None and draw(st.booleans())
        layers.append((kernel, depthwise, source, added, after))
    return layers


@settings(max_examples=8, deadline=None)
@given(networks())
def test_any_network_keeps_its_bits(layers: list[Layer]) -> None:
    check_same(network(layers))
