"""Small models made without torch, and the one network that is exported by it, once per session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
import onnx_models
import onnxruntime
import pytest
import torch
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from quick_export import parse_functions_once
from torch import nn

from exporters import Decision, Limits, LoadError, load, to_sparse
from exporters.from_torch import to_onnx
from exporters.ops import DOMAIN, OPS, OPSET, VERSION, EdgeOp, build_node, csr_constants, nm_constants
from exporters.serialize import to_proto
from exporters.weights import csr, nm

Array = npt.NDArray[Any]
INF = float("inf")
SAME = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1]}
POINT = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}


@pytest.fixture(scope="session", autouse=True)
def _functions_parsed_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        parse_functions_once(patch)
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def make_weight() -> Callable[..., Array]:
    return onnx_models.sparse_weight


@pytest.fixture(scope="session")
def edge_model() -> Callable[..., onnx.ModelProto]:
    """A model of one node of our domain: op, weight, bias, input shape, attributes, and the dtype of col_idx."""

    def make(
        op: EdgeOp,
        weight: Array,
        bias: Array,
        shape: Sequence[int | str],
        attributes: Mapping[str, Any],
        index_dtype: Any = None,
    ) -> onnx.ModelProto:
        constants = {"bias": bias, **({"W": weight} if not op.is_csr else csr_constants(csr.from_dense(weight)))}
        if op.is_nm:
            constants = {"bias": bias, **nm_constants(nm.from_dense(weight, attributes["m"]))}
        if index_dtype is not None:
            constants["col_idx"] = constants["col_idx"].astype(index_dtype)
        float32 = ir.TensorType(ir.DataType.FLOAT)
        activations = {"X": ir.Value(name="X", shape=ir.Shape(shape), type=float32)}
        out_shape = ir.Shape([shape[0], weight.shape[0], *(("h", "w") if len(shape) == 4 else ())])
        if "residual" in op.inputs:
            activations["residual"] = ir.Value(name="residual", shape=out_shape, type=float32)
        node, initializers = build_node(
            op, "layer", activations, constants, {"clip_min": -INF, "clip_max": INF, **attributes}
        )
        output = node.outputs[0]
        output.name, output.shape, output.type = "Y", out_shape, float32
        graph = ir.Graph(
            list(activations.values()),
            [output],
            nodes=[node],
            initializers=initializers,
            opset_imports={"": OPSET, DOMAIN: VERSION},
            name="main",
        )
        model = to_proto(ir.Model(graph, ir_version=10))
        model.functions.append(op.function)
        return model

    return make


@pytest.fixture(scope="session")
def run_stock(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Array, list[str]]]:
    """Run a model in ORT without any library of ours: its output, and the ops of the graph that ORT optimised."""

    def run(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> tuple[Array, list[str]]:
        optimised = tmp_path_factory.mktemp("ort") / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(optimised)
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (output,) = session.run(None, dict(feeds))
        return output, [node.op_type for node in onnx.load(optimised).graph.node]

    return run


@pytest.fixture
def tiny() -> onnx.ModelProto:
    """Stem, depthwise, pointwise, pooling, classifier: the least network with every kind of layer."""
    return onnx_models.tiny()


class SmallNet(nn.Module):
    """What MobileNetV1 is made of, three convolutions deep."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True)),
            nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
            nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(inplace=True)),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(16, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def randomise_batch_norm(model: nn.Module) -> nn.Module:
    """Statistics as after training; those of a new network are 0 and 1, and folding them would show nothing."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.running_mean, -0.3), (module.running_var, 0.5)):
                tensor.uniform_(low, low + 0.6, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.3, 0.3, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def small_net() -> nn.Module:
    torch.manual_seed(0)
    return randomise_batch_norm(SmallNet())


@pytest.fixture(scope="session")
def small_dense(small_net: nn.Module) -> bytes:
    """The small network exported; bytes, so that no test can change it for another."""
    return to_onnx(small_net, torch.zeros(1, 1, 8, 8)).SerializeToString(deterministic=True)


@pytest.fixture(scope="session")
def randomise() -> Callable[[nn.Module], nn.Module]:
    return randomise_batch_norm


@pytest.fixture(scope="session")
def from_text() -> Callable[[str, Mapping[str, Any]], ir.Model]:
    """A graph in ONNX's text syntax and its initializers, float32 but for integers, as a model."""

    def make(text: str, arrays: Mapping[str, Any]) -> ir.Model:
        graph = onnx.parser.parse_graph(text)
        for name, value in arrays.items():
            array = np.asarray(value)
            kind = np.int64 if array.dtype == np.int64 and array.ndim else np.float32
            graph.initializer.append(numpy_helper.from_array(array.astype(kind), name))
        model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])
        onnx.checker.check_model(model, full_check=True)
        return ir.from_proto(model)

    return make


@pytest.fixture(scope="session")
def with_bodies() -> Callable[[ir.Model], onnx.ModelProto]:
    """A model as a protobuf, with the function bodies of the ops of ours that it uses."""

    def make(model: ir.Model) -> onnx.ModelProto:
        proto = to_proto(model)
        used = {node.op_type for node in proto.graph.node if node.domain == DOMAIN}
        proto.functions.extend(op.function for op in OPS.values() if op.name in used)
        return proto

    return make


@pytest.fixture
def sparse(tiny: onnx.ModelProto) -> onnx.ModelProto:
    return to_sparse(tiny, lambda info: Decision(sparse=True, reason="test")).model


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Write a file, expect its refusal, return the sentence."""

    def check(content: onnx.ModelProto | bytes, error: type[LoadError], limits: Limits | None = None) -> str:
        path = tmp_path / "model.onnx"
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        with pytest.raises(error) as caught:
            load(path, limits or Limits())
        assert type(caught.value) is error
        sentence = str(caught.value)
        assert sentence.startswith(f"{path}: ")
        assert sentence.endswith(".")
        return sentence

    return check


@pytest.fixture(scope="session")
def replace() -> Callable[[onnx.ModelProto, str, Any, Any], None]:
    """Give an initializer other values."""

    def change(model: onnx.ModelProto, name: str, values: Any, dtype: Any) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(values, dtype), name))

    return change


@pytest.fixture(scope="session")
def graph_model() -> Callable[..., onnx.ModelProto]:
    """A model with input x (batch, 4), nodes, initializers and output y."""

    def make(nodes: Sequence[onnx.NodeProto], initializers: Mapping[str, Any]) -> onnx.ModelProto:
        graph = helper.make_graph(
            nodes,
            "main",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers.items()],
        )
        return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])

    return make


@pytest.fixture(scope="session")
def foreign() -> onnx.ModelProto:
    """A model of others: of any image size, with a branch, an LSTM, and a function and an op of other domains."""
    return onnx_models.foreign()


@pytest.fixture(scope="session")
def mutated() -> Callable[[st.DataObject, bytes], bytes]:
    """Bytes with a few flipped, cut out or doubled, as hypothesis draws them."""

    def mutate(data: st.DataObject, content: bytes) -> bytes:
        changed = bytearray(content)
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(changed) - 1))
            kind = data.draw(st.sampled_from(["flip", "cut", "copy"]))
            if kind == "flip":
                changed[start] ^= data.draw(st.integers(1, 255))
            elif kind == "cut":
                del changed[start : start + data.draw(st.integers(1, 64))]
            else:
                changed[start:start] = changed[start : start + data.draw(st.integers(1, 64))]
            if not changed:
                break
        return bytes(changed)

    return mutate
