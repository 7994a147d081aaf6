"""Networks with residual sums, exported from torch to sparse files that compute the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from shorter import shorter
from torch import nn

from chita_edge.models import mobilenet_v2, resnet20_cifar
from chita_edge.models.mobilenet_v2 import MobileNetV2
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from exporters import Decision, load, relative_difference, save, to_onnx, to_sparse, verify

CASES = {
    "resnet20_cifar": (
        shorter(ResNet20Cifar, resnet20_cifar, _BLOCKS_PER_STAGE=2),
        (3, 32, 32),
        {"Conv": 15, "Relu": 13, "Add": 6, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1},
        {"DenseConv": 1, "CsrConv": 8, "CsrConvAdd": 6, "GlobalAveragePool": 1, "Flatten": 1, "CsrGemm": 1},
    ),
    "mobilenet_v2": (
        shorter(
            lambda: MobileNetV2(width=0.35, num_classes=10, in_channels=1),
            mobilenet_v2,
            _STAGES=((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2)),
        ),
        (1, 32, 32),
        {"Conv": 16, "Clip": 11, "Add": 2, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1},
        {
            "DenseConv": 1,
            "DepthwiseConv": 5,
            "CsrConv": 8,
            "CsrConvAdd": 2,
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


class Every(nn.Module):
    """Layers whose operators are none of the product's own networks', on an image and on a signal."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1, padding_mode="reflect"), nn.GroupNorm(2, 16), nn.ELU()),
            *(nn.PixelShuffle(2), nn.ConvTranspose2d(4, 6, 2, 2), nn.InstanceNorm2d(6, affine=True)),
            *(nn.Upsample(scale_factor=0.5), nn.PReLU(), nn.ZeroPad2d((1, 0, 2, 0)), nn.AdaptiveAvgPool2d((2, 3))),
        )
        self.signal = nn.Sequential(nn.Conv1d(4, 8, 3, groups=2), nn.BatchNorm1d(8), nn.GELU(), nn.MaxPool1d(2))
        self.sequence = nn.LSTM(8, 5, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(5), nn.Softplus(), nn.Linear(5, 3), nn.LogSoftmax(-1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = self.image(x)
        left, right = image.chunk(2, dim=1)
        signal = self.signal(torch.cat([left, right], 1).flatten(2)[:, 1:5].repeat(1, 1, 2))
        return self.head(self.sequence(signal.transpose(1, 2))[0]).amax(1)


def test_what_the_exporter_writes_can_be_read_and_verified(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Every().eval()
    with torch.no_grad():
        network.head[2].weight[:, ::2] = 0
    x = torch.randn(2, 3, 6, 6)
    dense = to_onnx(network, x)
    sparse = to_sparse(dense, lambda info: Decision(sparse=True, reason="test")).model
    for name, model in (("dense", dense), ("sparse", sparse)):
        save(model, tmp_path / name)
        assert load(tmp_path / name) == model
        found = verify(tmp_path / name, x.numpy(), network(x).detach().numpy())
        assert max(found.onnxruntime, found.reference) <= 1e-4
