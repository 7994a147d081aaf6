"""Nodes that are chains of convolutions: what is refused, in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import sparse_models
from onnx import TensorProto, helper, numpy_helper

import runtimes

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1, 4, 6, 6)).astype(np.float32)
POINT: dict[str, Any] = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
SAME: dict[str, Any] = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1]}


def chain(
    depthwise: tuple[int, ...] = (4, 1, 3, 3),
    sparse: tuple[int, ...] = (5, 4, 1, 1),
    point: dict[str, Any] = POINT,
    drop: str = "",
    **changed: Any,
) -> bytes:
    """ConvChainDP on four channels, well-formed as it stands."""
    constants = {"W_0": RNG.normal(size=depthwise).astype(np.float32), "bias_0": np.zeros(depthwise[0], np.float32)}
    csr = sparse_models.csr(sparse_models.random_sparse(RNG, sparse, 0.5))
    constants |= {f"{key}_1": array for key, array in csr.items()} | {"bias_1": np.zeros(sparse[0], np.float32)}
    constants |= {key: value for key, value in changed.items() if key in constants}
    attributes = {f"{key}_0": value for key, value in SAME.items()} | {f"{key}_1": v for key, v in point.items()}
    attributes |= {"group_0": depthwise[0]} | {key: value for key, value in changed.items() if key not in constants}
    names = [name for name in constants if name != drop]
    node = helper.make_node("ConvChainDP", ["X", *names], ["Y"], name="run", domain="chita.edge", **attributes)
    graph = helper.make_graph(
        [node],
        "chain",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", "C", "H", "W"])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=sparse_models.OPSETS).SerializeToString()


def test_a_well_formed_one_runs() -> None:
    (y,) = runtimes.session(chain()).run(None, {"X": X})
    assert y.shape == (1, 5, 6, 6)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: chain(sparse=(5, 6, 1, 1)), "stage 1: it has 6 channels, the stage before makes 4"),
        (lambda: chain(sparse=(5, 4, 3, 3)), "a sparse convolution is 1 by 1, of stride 1, without padding"),
        (lambda: chain(point=POINT | {"strides": [2, 2]}), "of stride 1, without padding"),
        (lambda: chain(point=POINT | {"pads": [0, 1, 0, 0]}), "of stride 1, without padding"),
        (lambda: chain(drop="bias_1"), "it has 7 inputs, 8 are needed"),
        (lambda: chain(depthwise=(4, 2, 3, 3)), "stage 0: dimension 1 of its weight is 2"),
        (lambda: chain(W_0=np.zeros((4, 1, 3, 3), np.float64)), "W_0|float"),
        (lambda: chain(row_ptr_1=np.array([0, 1, 9, 2, 2, 2], np.int32)), "stage 1: row_ptr"),
        (lambda: chain(clip_min_1=2.0, clip_max_1=1.0), "stage 1: clip_min must not be above clip_max"),
        (lambda: chain(clip_min_1="low"), "stage 1: its attribute clip_min_1 must be a float"),
        (lambda: chain(strides_0=[1, 1, 1]), "stage 0: its attribute strides_0 has 3 integers"),
    ],
)
def test_a_malformed_one_is_refused_in_a_sentence(model: Any, words: str) -> None:
    with pytest.raises(Exception, match=words):  # one class for each status
        runtimes.session(model())


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 3, 6, 6), "3 channels, its weight has 4"), ((1, 4, 0, 6), "is empty"), ((4, 6, 6), "3 dimensions")],
)
def test_an_input_of_another_shape_is_refused(shape: tuple[int, ...], words: str) -> None:
    model = onnx.load_from_string(chain())
    model.graph.input[0].type.tensor_type.ClearField("shape")
    session = runtimes.session(model.SerializeToString())
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument, match=words):
        session.run(None, {"X": np.zeros(shape, np.float32)})
