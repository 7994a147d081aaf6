"""HardSwish and SiLU in the kernels: errors over the range of floats, special values, a network of mobile blocks."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import sparse_models
import torch
from kernel_isas import float_isas
from torch import nn
from torch.nn import functional

import exporters
import runtimes
from exporters import Decision

UNIT = 2.0**-24
VARIANTS = ("HardSwish", "Silu")


def formula(variant: str, x: np.ndarray) -> np.ndarray:
    """In float64, without an overflow."""
    x = x.astype(np.float64)
    if variant == "HardSwish":
        return x * np.clip(x / 6 + 0.5, 0, 1)
    e = np.exp(-abs(x))
    return x * np.where(x < 0, e, 1) / (1 + e)


def activated(variant: str, x: np.ndarray, isa: str) -> np.ndarray:
    """The activation of each value, through a convolution with a weight of 1."""
    model = sparse_models.layer(
        f"CsrConv{variant}", np.ones((1, 1, 1, 1), np.float32), np.full(1, -0.0, np.float32), [1, 1, 1, None]
    )
    (y,) = runtimes.session(model, isa=isa).run(None, {"X": x.reshape(1, 1, 1, -1)})
    return y.reshape(x.shape)


@pytest.mark.parametrize("isa", float_isas())
@pytest.mark.parametrize("variant", VARIANTS)
def test_error_over_all_magnitudes(variant: str, isa: str) -> None:
    bits = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    x = np.concatenate([x[np.isfinite(x)], np.linspace(-20, 20, 100_001, dtype=np.float32)])
    y, exact = activated(variant, x, isa).astype(np.float64), formula(variant, x)
    # What clips near -3 loses digits of x / 6 + 1/2: its error is relative to x.
    size = abs(x.astype(np.float64)) if variant == "HardSwish" else abs(exact)
    bound = 2 * UNIT * size if variant == "HardSwish" else 2.0**-21 * size
    assert (abs(y - exact) <= bound + 2.0**-148).all()
    assert (np.signbit(y) == np.signbit(x)).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_special_values_are_those_of_stock_onnx_runtime(variant: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-41, -1e-41, 3e38, -3e38, -3.0, 3.0, 88.0, -1000.0], np.float32)
    body = "y = HardSwish (x)" if variant == "HardSwish" else "g = Sigmoid (x) y = Mul (x, g)"
    head = '<ir_version: 8, opset_import: ["": 18]> g (float[n] x) => (float[n] y)'
    dense = onnx.parser.parse_model(f"{head} {{ {body} }}")
    (want,) = runtimes.dense_session(dense.SerializeToString()).run(None, {"x": x})
    for isa in float_isas():
        got = activated(variant, x, isa)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        known = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(want[known]))
        np.testing.assert_allclose(got[known], want[known], rtol=1e-6, atol=2.0**-148)


class MobileBlocks(nn.Module):
    """A block of MobileNetV3 with its squeeze and excitation and residual, then what EfficientNet's are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 24, 1)
        self.depthwise, self.project = nn.Conv2d(24, 24, 5, 1, 2, groups=24), nn.Conv2d(24, 8, 1)
        self.squeeze, self.excite = nn.Conv2d(24, 4, 1), nn.Conv2d(4, 24, 1)
        self.wide, self.small = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 16, 3, 2, 1, groups=16)
        self.head, self.last = nn.Linear(16, 20), nn.Linear(20, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.hardswish(self.stem(x))
        y = functional.hardswish(self.depthwise(functional.hardswish(self.expand(x))))
        gate = self.excite(functional.relu(self.squeeze(functional.adaptive_avg_pool2d(y, 1))))
        x = x + self.project(y * functional.hardsigmoid(gate))
        x = functional.silu(self.small(functional.silu(self.wide(x))))
        return self.last(functional.hardswish(self.head(x.mean((2, 3)))))


def test_a_network_of_mobile_blocks_end_to_end() -> None:
    torch.manual_seed(0)
    network = MobileBlocks().eval()
    x = torch.randn(2, 3, 30, 26, generator=torch.Generator().manual_seed(1))
    dense = exporters.to_onnx(network, x[:1])
    sparse = exporters.to_sparse(dense, lambda layer: Decision(True, "test"))
    with torch.no_grad():
        expected = network(x).numpy()
    ops = {layer.op for layer in sparse.layers}
    assert {"DenseConvHardSwish", "DepthwiseConvHardSwish", "CsrConvHardSwish", "CsrGemmHardSwish"} <= ops
    assert {"DepthwiseConvSilu", "CsrConvSilu", "CsrConvAdd", "CsrGemm"} <= ops
    pools = [node.domain for node in sparse.model.graph.node if node.op_type == "GlobalAveragePool"]
    assert pools == ["chita.edge"] * 2
    stock = runtimes.dense_session(sparse.model.SerializeToString()).run(None, {"input": x.numpy()})[0]
    assert exporters.relative_difference(stock, expected) < 1e-5
    for isa in float_isas():
        ours = runtimes.session(sparse.model.SerializeToString(), isa=isa).run(None, {"input": x.numpy()})[0]
        assert exporters.relative_difference(ours, expected) < 1e-5
