"""Hostile models: each is opened, and run where it opens, in a process with little memory, which must end by itself.

A model is either refused in a sentence or does what its standard-ONNX meaning says; it never crashes the process, hangs
it, or makes it allocate without bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import sparse_models
from onnx import TensorProto, helper, numpy_helper

X = np.random.default_rng(0).normal(size=(1, 4, 3, 3)).astype(np.float32)
WEIGHT = np.array([[1, 0, 2, 0], [0, 0, 0, 0], [0, 3, 0, 4]], np.float32).reshape(3, 4, 1, 1)
BIAS = np.array([1, 2, 3], np.float32)
EXPECTED = sparse_models.reference("CsrConv", X, WEIGHT, BIAS)

Edit = Callable[[onnx.ModelProto], None]
Attack = Callable[..., dict[str, Any]]


def good_model() -> onnx.ModelProto:
    return onnx.load_from_string(sparse_models.layer("CsrConv", WEIGHT, BIAS, ["N", "C", "H", "W"], name="target"))


@pytest.fixture
def attack(run_apart: Attack) -> Attack:
    """Runs a model on X, or on another array, in a process of its own."""
    return lambda model, x=X: run_apart(model, x)


def assert_right(answer: dict[str, Any]) -> None:
    assert "error" not in answer, answer["error"]
    np.testing.assert_allclose(answer["y"], EXPECTED.ravel(), rtol=1e-5, atol=1e-6)


def tensor(model: onnx.ModelProto, name: str) -> TensorProto:
    return next(one for one in model.graph.initializer if one.name == name)


def replace(name: str, array: sparse_models.Array) -> Edit:
    return lambda model: tensor(model, name).CopyFrom(numpy_helper.from_array(array, name))


def claim_dims(name: str, *dims: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        del tensor(model, name).dims[:]
        tensor(model, name).dims.extend(dims)

    return edit


def external(name: str, **entries: object) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        one = tensor(model, name)
        one.ClearField("raw_data")
        one.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            one.external_data.add(key=key, value=str(value))

    return edit


def attribute(**values: Any) -> Edit:
    return lambda model: model.graph.node[0].attribute.extend(helper.make_attribute(k, v) for k, v in values.items())


def rename(**fields: Any) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        for key, value in fields.items():
            setattr(model.graph.node[0], key, value)

    return edit


def inputs(**which: str) -> Edit:
    """Let one input of the node be another one's tensor."""

    def edit(model: onnx.ModelProto) -> None:
        for position, name in enumerate(model.graph.node[0].input):
            model.graph.node[0].input[position] = which.get(name, name)

    return edit


def two_outputs(model: onnx.ModelProto) -> None:
    model.graph.node[0].output.append("Z")


def sparse_values(model: onnx.ModelProto) -> None:
    """`values` as a COO tensor that says it has 2^31 elements and holds one."""
    model.graph.initializer.remove(tensor(model, "values"))
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            helper.make_tensor("values", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("where", TensorProto.INT64, [1], [0]),
            [2**31],
        )
    )


INT32_MAX = 2**31 - 1
REFUSED: dict[str, tuple[Edit, str]] = {
    "row_ptr wraps around": (replace("row_ptr", np.array([0, INT32_MAX, -INT32_MAX, 4], np.int32)), "row_ptr falls"),
    "row_ptr all at the far end": (replace("row_ptr", np.array([0] + [INT32_MAX] * 3, np.int32)), "row_ptr ends at"),
    "row_ptr below zero": (replace("row_ptr", np.array([-4, -3, -2, 4], np.int32)), "row_ptr starts at -4"),
    "16 million rows": (replace("weight_shape", np.array([2**24, 4, 1, 1])), "bias has 3 elements"),
    "product of dims wraps to 4": (
        replace("weight_shape", np.array([3, 2**62 + 1, 4, 1])),
        "dimension 1 of the weight",
    ),
    "column just outside": (replace("col_idx", np.array([0, 2, 1, 4], np.uint8)), "col_idx[3] is 4, outside"),
    "column of all ones": (replace("col_idx", np.array([0, -1, 1, 3], np.int32)), "col_idx[1] is -1, outside"),
    "row_ptr also as columns": (inputs(col_idx="row_ptr"), "col_idx[3] is 4, outside"),
    "columns also as row_ptr": (inputs(row_ptr="col_idx"), "row_ptr must be int32"),
    "more elements claimed than stored": (claim_dims("values", 2**20), "target|size|values"),
    "2^40 elements claimed": (claim_dims("values", 2**40), ""),
    "dims that wrap around": (claim_dims("values", 2**32, 2**32), ""),
    "negative dims": (claim_dims("values", -4), ""),
    "fewer elements claimed than stored": (claim_dims("values", 1), ""),
    "external data outside the folder": (external("values", location="../../../../etc/passwd", length=16), ""),
    "external data of an absolute path": (external("values", location="/etc/passwd", length=16), ""),
    "external data beyond the end": (external("values", location="x.npy", offset=2**40, length=16), ""),
    "external data of negative offset": (external("values", location="x.npy", offset=-64, length=16), ""),
    "a sparse tensor that says 2^31": (sparse_values, ""),
    "pads that overflow": (attribute(pads=[2**62, 2**62, 2**62, 2**62]), "outside 0 to"),
    "output of 2^32 pixels": (attribute(pads=[2**15] * 4), "has more than 2147483647 elements"),
    "stride zero": (attribute(strides=[0, 0]), "outside 1 to"),
    "dilation beyond 2^31": (attribute(dilations=[2**31, 1]), "outside 1 to"),
    "clip to NaN": (attribute(clip_max=float("nan")), "neither may be NaN"),
    "an op that is not there": (rename(op_type="CsrExec"), "CsrExec"),
    "a second output": (two_outputs, ""),
    "bias of another layer": (inputs(bias="values"), "bias has 4 elements"),
    "X as its own weight": (inputs(values="X"), "values"),
    "a name of 100,000 letters": (
        lambda model: (rename(name="n" * 100_000)(model), replace("bias", BIAS[:2])(model))[0],
        "a name longer than 256 characters",
    ),
    "a name of format letters": (
        lambda model: (rename(name="%s%s%n%d%x")(model), replace("bias", BIAS[:2])(model))[0],
        "%s%s%n%d%x",
    ),
    "a name of other alphabets": (
        lambda model: (rename(name="слой\u202e\x1b[31m")(model), replace("bias", BIAS[:2])(model))[0],
        "слой",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, attack: Attack) -> None:
    edit, words = REFUSED[name]
    model = good_model()
    edit(model)
    answer = attack(model)
    assert "error" in answer, f"accepted: {answer}"
    assert any(word in answer["error"] for word in words.split("|")), answer["error"]


ACCEPTED: dict[str, Edit] = {
    "as it is": lambda model: None,
    "a node without a name": rename(name=""),
    "a name of 256 letters": rename(name="n" * 256),
    "a name of 257 letters": rename(name="n" * 257),
    "attributes nobody knows": attribute(group=7, secret="x" * 1000),
    "an infinite clip": attribute(clip_min=float("-inf"), clip_max=float("inf")),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_with_the_right_result(name: str, attack: Attack) -> None:
    model = good_model()
    ACCEPTED[name](model)
    assert_right(attack(model))


def test_an_initializer_that_an_input_can_override_is_no_constant(attack: Attack) -> None:
    model = good_model()
    model.graph.input.append(helper.make_tensor_value_info("col_idx", TensorProto.UINT8, [4]))
    assert "its input col_idx must be a constant initializer" in attack(model)["error"]


def test_a_constant_input_is_folded_by_the_same_kernel(attack: Attack) -> None:
    model = good_model()
    model.graph.initializer.append(numpy_helper.from_array(X, "C"))
    inputs(X="C")(model)
    assert_right(attack(model))


def test_inside_a_branch(attack: Attack) -> None:
    model = good_model()
    node = onnx.NodeProto.FromString(model.graph.node[0].SerializeToString())
    del model.graph.node[:]
    y = helper.make_tensor_value_info("Y_in", TensorProto.FLOAT, None)
    node.output[0] = "Y_in"
    body = helper.make_graph([node], "branch", [], [y])
    choice = helper.make_node("If", ["always"], ["Y"], then_branch=body, else_branch=body)
    model.graph.node.append(choice)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    assert_right(attack(model))


def test_weights_made_by_a_constant_node(attack: Attack) -> None:
    model = good_model()
    columns = tensor(model, "col_idx")
    model.graph.initializer.remove(columns)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["col_idx"], value=columns))
    assert_right(attack(model))


def test_two_nodes_share_their_weights(attack: Attack) -> None:
    model = good_model()
    twin = onnx.NodeProto.FromString(model.graph.node[0].SerializeToString())
    twin.name, twin.output[0] = "twin", "Z"
    model.graph.node[0].output[0] = "W"
    model.graph.node.extend([twin, helper.make_node("Max", ["W", "Z"], ["Y"])])
    assert_right(attack(model))


@pytest.mark.parametrize("shape", [(1, 4, 0, 3), (1, 5, 3, 3), (1, 3, 3, 3), (4, 3, 3), (1, 1, 4, 3, 3), (4,), ()])
def test_inputs_of_wrong_shapes_are_refused_at_run_time(shape: tuple[int, ...], attack: Attack) -> None:
    model = good_model()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert 'CsrConv "target": its input' in attack(model, np.zeros(shape, np.float32))["error"]


def test_a_batch_of_none(attack: Attack) -> None:
    assert attack(good_model(), X[:0])["shape"] == [0, 3, 3, 3]
