"""Networks with residual sums, exported from torch to sparse files that compute the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from chita_edge.models.mobilenet_v2 import MobileNetV2
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from exporters import Decision, relative_difference, to_onnx, to_sparse

CASES = {
    "resnet20_cifar": (
        lambda: ResNet20Cifar(),
        (3, 32, 32),
        {"Conv": 21, "Relu": 19, "Add": 9, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1},
        {"DenseConv": 1, "CsrConv": 11, "CsrConvAdd": 9, "GlobalAveragePool": 1, "Flatten": 1, "CsrGemm": 1},
    ),
    "mobilenet_v2": (
        lambda: MobileNetV2(width=0.35, num_classes=10, in_channels=1),
        (1, 32, 32),
        {"Conv": 52, "Clip": 35, "Add": 10, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1},
        {
            "DenseConv": 1,
            "DepthwiseConv": 17,
            "CsrConv": 24,
            "CsrConvAdd": 10,
            "GlobalAveragePool": 1,
            "Flatten": 1,
            "CsrGemm": 1,
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_network(
    name: str, randomise: Callable[[nn.Module], nn.Module], rng: np.random.Generator, run_stock: Callable
) -> None:
    make, shape, dense_ops, sparse_ops = CASES[name]
    torch.manual_seed(0)
    net = randomise(make())
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter *= torch.rand_like(parameter) < 0.3
    dense = to_onnx(net, torch.zeros(1, *shape))
    assert Counter(node.op_type for node in dense.graph.node) == dense_ops
    sparse = to_sparse(dense, lambda info: Decision(sparse=True, reason="test")).model
    assert Counter(node.op_type for node in sparse.graph.node) == sparse_ops
    onnx.checker.check_model(sparse, full_check=True)

    x = rng.normal(size=(2, *shape)).astype(np.float32)
    with torch.no_grad():
        want = net(torch.from_numpy(x)).numpy()
    for model in (dense, sparse):
        got, ops = run_stock(model, {"input": x})
        assert relative_difference(got, want) <= 1e-4
        assert "ScatterElements" not in ops
    assert relative_difference(ReferenceEvaluator(sparse).run(None, {"input": x[:1]})[0], want[:1]) <= 1e-4
