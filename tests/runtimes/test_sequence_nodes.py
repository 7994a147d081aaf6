"""Nodes that are sequences of layers: what they compute, however threads come; what is refused, in which words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import sparse_models
from onnx import TensorProto, helper, numpy_helper

import runtimes

RNG = np.random.default_rng(0)
SAME: dict[str, Any] = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1]}
STAGES = "DenseConv:0 CsrConv:1 CsrConv:2 CsrConvAdd:3+1"
CHANNELS = (3, 8, 8, 8, 8)


def constants_of(op: str, out: int, channels: int) -> dict[str, np.ndarray]:
    """The constants of a stage with a 3×3 window, in the order of its inputs."""
    if op == "DenseConv":
        weights = {"W": RNG.normal(size=(out, channels, 3, 3)).astype(np.float32)}
    else:
        weights = sparse_models.csr(sparse_models.random_sparse(RNG, (out, channels, 3, 3), 0.6))
    return weights | {"bias": RNG.normal(size=out).astype(np.float32)}


CONSTANTS = {
    f"{key}_{index}": array
    for index, word in enumerate(STAGES.split(" "))
    for key, array in constants_of(word.split(":")[0], CHANNELS[index + 1], CHANNELS[index]).items()
}


def model_of(nodes: list[onnx.NodeProto]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "sequence",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, key) for key, array in CONSTANTS.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=sparse_models.OPSETS).SerializeToString()


def sequence(stages: Any = STAGES, drop: str = "", **changed: Any) -> bytes:
    """A residual block behind a stem; other attributes take the place of its own."""
    attributes = {f"{key}_{index}": value for index in range(4) for key, value in SAME.items()}
    attributes |= {"stages": stages} if stages is not None else {}
    inputs = ["X", *(key for key in CONSTANTS if key != drop)]
    node = helper.make_node("ConvSequence", inputs, ["Y"], name="run", domain="chita.edge", **(attributes | changed))
    return model_of([node])


def one_by_one() -> bytes:
    """The same stages as nodes."""
    values, nodes = ["X"], []
    for index, word in enumerate(STAGES.split(" ")):
        op, read = word.split(":")
        source, *added = (values[int(value)] for value in read.split("+"))
        keys = [key for key in CONSTANTS if key.endswith(f"_{index}")]
        values.append("Y" if index == 3 else f"Y{index}")
        nodes.append(helper.make_node(op, [source, *keys, *added], [values[-1]], domain="chita.edge", **SAME))
    return model_of(nodes)


@pytest.mark.parametrize("side", [(1, 1), (2, 7), (8, 8), (33, 20)])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_its_bits_are_those_of_its_stages(side: tuple[int, int], batch: int) -> None:
    x = RNG.normal(size=(batch, 3, *side)).astype(np.float32)
    want = runtimes.session(one_by_one(), threads=1).run(None, {"X": x})[0]
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(runtimes.session(sequence(), threads=threads).run(None, {"X": x})[0], want)


def test_inputs_of_changing_sizes_from_several_threads() -> None:
    merged, single = runtimes.session(sequence(), threads=2), runtimes.session(one_by_one(), threads=1)
    inputs = [RNG.normal(size=(1 + i % 2, 3, 5 + i, 9)).astype(np.float32) for i in range(4)]
    wanted = [single.run(None, {"X": x})[0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, want in zip(pool.map(lambda x: merged.run(None, {"X": x})[0], inputs), wanted, strict=True):
                np.testing.assert_array_equal(got, want)


def test_one_thread_does_the_work_of_many_that_do_not_come() -> None:
    """The work is cut for more threads than there are, as where an app has set up ONNX Runtime's pool by itself."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("chita_edge.intra_op_threads", "4")
    options.register_custom_ops_library(str(runtimes.library()))
    x = RNG.normal(size=(1, 3, 40, 40)).astype(np.float32)
    session = ort.InferenceSession(sequence(), options, providers=["CPUExecutionProvider"])
    want = runtimes.session(one_by_one(), threads=1).run(None, {"X": x})[0]
    for _ in range(3):
        np.testing.assert_array_equal(session.run(None, {"X": x})[0], want)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: sequence(None), "it lacks the attribute stages"),
        (lambda: sequence(3), "its attribute stages must be a string"),
        (lambda: sequence("CsrConv:0 " * 2000), "its attribute stages has more than 4095 characters"),
        (lambda: sequence(" ".join(["CsrConv:0"] * 65)), "it has more than 64 stages"),
        (lambda: sequence(""), "stage 0 of its attribute stages is not an op, a colon"),
        (lambda: sequence(STAGES.replace("CsrConv:1", "CsrConv:2")), "stage 1 of its attribute stages is not an op"),
        (lambda: sequence(STAGES.replace("3+1", "3")), "stage 3 of its attribute stages is not an op"),
        (lambda: sequence(STAGES.replace("3+1", "3+9")), "stage 3 of its attribute stages is not an op"),
        (lambda: sequence(STAGES.replace("CsrConv:1", "CsrConv:99999999999999999999")), "stage 1 of its attribute"),
        (
            lambda: sequence(STAGES.replace("CsrConv:1", "ConvSequence:1")),
            "stage 1 of its attribute stages is not an op",
        ),
        (lambda: sequence(STAGES.replace("CsrConv:1", "CsrGemm:1")), "stage 1 of its attribute stages is not an op"),
        (
            lambda: sequence(STAGES.replace("CsrConv:1", "CsrConv:1;")),
            "something follows stage 1 of its attribute stages",
        ),
        (lambda: sequence(STAGES + " "), "stage 4 of its attribute stages is not an op"),
        (lambda: sequence(drop="bias_3"), "it has 17 inputs, 18 are needed"),
        (lambda: sequence(strides_2=[1, 1, 1]), "stage 2: its attribute strides_2 has 3 integers"),
        (lambda: sequence(clip_min_3="low"), "stage 3: its attribute clip_min_3 must be a float"),
    ],
)
def test_a_malformed_one_is_refused_in_a_sentence(model: Any, words: str) -> None:
    with pytest.raises(Exception, match=words):  # one class for each status
        runtimes.session(model())


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (sequence, (1, 4, 6, 6), "its input has 4 channels, its weight has 3"),
        (sequence, (1, 3, 0, 6), "is empty"),
        (sequence, (3, 6, 6), "3 dimensions"),
        (lambda: sequence(strides_2=[2, 2]), (1, 3, 6, 6), "dimension 2 of its residual is 6, that of its output is 3"),
        (lambda: sequence(STAGES.replace("CsrConv:1", "CsrConv:0")), (1, 3, 6, 6), "has 3 channels, its weight has 8"),
        (lambda: sequence(pads_3=[0, 0, 0, 0]), (1, 3, 2, 2), "does not fit into an input of 2 by 2 pixels"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_when_it_runs(model: Any, shape: tuple[int, ...], words: str) -> None:
    session = runtimes.session(model())
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument, match=words):
        session.run(None, {"X": np.zeros(shape, np.float32)})
