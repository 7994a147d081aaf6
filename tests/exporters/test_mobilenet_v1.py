"""The embedded network's architecture, exported dense and sparse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from chita_edge.models.mobilenet_v1 import MobileNetV1
from exporters import Decision, relative_difference, to_bytes, to_onnx, to_sparse

SPARSITY = 0.8


@pytest.fixture(scope="module")
def network(randomise: Callable) -> nn.Module:
    torch.manual_seed(0)
    net = randomise(MobileNetV1(width=0.5, num_classes=10, in_channels=1))
    with torch.no_grad():
        for parameter in _prunable(net):
            threshold = parameter.abs().flatten().kthvalue(int(SPARSITY * parameter.numel())).values
            parameter *= parameter.abs() > threshold
    return net


def _prunable(net: nn.Module) -> Iterator[nn.Parameter]:
    for module in net.modules():
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)):
            yield module.weight


@pytest.fixture(scope="module")
def dense(network: nn.Module) -> onnx.ModelProto:
    return to_onnx(network, torch.zeros(1, 1, 96, 96))


@pytest.fixture(scope="module")
def sparse(dense: onnx.ModelProto) -> onnx.ModelProto:
    return to_sparse(dense, lambda info: Decision(sparse=True, reason="test")).model


def test_dense_graph(dense: onnx.ModelProto) -> None:
    counts = Counter(node.op_type for node in dense.graph.node)
    assert counts == {"Conv": 27, "Clip": 27, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}


def test_sparse_graph(sparse: onnx.ModelProto) -> None:
    counts = Counter(node.op_type for node in sparse.graph.node)
    assert counts == {
        "DenseConv": 1,
        "DepthwiseConv": 13,
        "CsrConv": 13,
        "CsrGemm": 1,
        "GlobalAveragePool": 1,
        "Flatten": 1,
    }
    onnx.checker.check_model(sparse, full_check=True)


def test_sparse_file_is_at_most_a_third_of_the_dense_one(dense: onnx.ModelProto, sparse: onnx.ModelProto) -> None:
    assert len(to_bytes(sparse)) * 3 <= len(to_bytes(dense))


def test_both_files_compute_what_torch_computes(
    network: nn.Module, dense: onnx.ModelProto, sparse: onnx.ModelProto, rng: np.random.Generator, run_stock: Callable
) -> None:
    x = rng.normal(size=(2, 1, 96, 96)).astype(np.float32)
    with torch.no_grad():
        want = network(torch.from_numpy(x)).numpy()
    for model in (dense, sparse):
        got, ops = run_stock(model, {"input": x})
        assert relative_difference(got, want) <= 1e-4
        assert not {"ScatterElements", "CumSum"} & set(ops)
    assert relative_difference(ReferenceEvaluator(sparse).run(None, {"input": x[:1]})[0], want[:1]) <= 1e-4


def test_neighbours_of_a_dense_pointwise_layer_stay_in_orts_layout(dense: onnx.ModelProto) -> None:
    first = "features.1.1.0"
    model = to_sparse(dense, lambda info: Decision(sparse=info.name != first, reason="test")).model
    ops = {node.name: node.op_type for node in model.graph.node}
    assert (ops["features.0.0"], ops["features.1.0.0"], ops[first]) == ("Conv", "Conv", "Conv")
    assert (ops["features.2.0.0"], ops["features.2.1.0"]) == ("DepthwiseConv", "CsrConv")
