from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as torch_prune

import exporters
from chita_edge import PruneConfig, prune
from chita_edge.network.rewrite import DepthToSpace, restored, rewritten

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def old_weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(module)


def network(middle: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), middle, nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: parametrizations.weight_norm(nn.Conv2d(4, 4, 1)), "WeightNorm of 2 folded"),
        (lambda: parametrizations.spectral_norm(nn.Conv2d(4, 4, 1)), "SpectralNorm of 2 folded"),
        (lambda: old_weight_norm(nn.Conv2d(4, 4, 1)), "WeightNorm of 2 folded"),
        (lambda: nn.utils.spectral_norm(nn.Conv2d(4, 4, 1)), "SpectralNorm of 2 folded"),
        (lambda: torch_prune.l1_unstructured(nn.Conv2d(4, 4, 1), "weight", 0.5), "the mask of 2 folded"),
        (lambda: nn.ConvTranspose2d(4, 4, 2, 2), "2 as a 1×1 convolution and a depth-to-space"),
        (lambda: nn.ConvTranspose2d(4, 4, 3, 3, bias=False), "2 as a 1×1 convolution and a depth-to-space"),
    ],
)
def test_the_network_computes_the_same_with_a_weight_that_can_be_pruned(
    make: Callable[[], nn.Module], kind: str
) -> None:
    torch.manual_seed(0)
    net = network(make())
    before = net(IMAGES).detach()
    assert rewritten(net) == (kind,)
    torch.testing.assert_close(net(IMAGES), before, rtol=1e-4, atol=1e-6)
    result = prune(net, IMAGES, PruneConfig(sparsity=0.5, method="reconstruct"))
    assert "2.weight" in result.masks
    restored(net)
    torch.testing.assert_close(net(IMAGES), before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "module",
    [
        nn.ConvTranspose2d(4, 4, 3, 2),
        nn.ConvTranspose2d(4, 4, 2, 2, padding=1),
        nn.ConvTranspose2d(4, 4, 2, 2, groups=2),
        nn.ConvTranspose2d(4, 4, 2, 2, output_padding=1),
        nn.ConvTranspose2d(4, 4, (2, 1), (2, 1)),
    ],
)
def test_other_transposed_convolutions_stay(module: nn.Module) -> None:
    net = network(module)
    assert rewritten(net) == ()
    result = prune(net, IMAGES, PruneConfig(sparsity=0.5, method="magnitude"))
    reasons = {one.name: one.reason for one in result.figures.dense}
    assert reasons["2.weight"].startswith("a transposed convolution")


def test_it_is_a_convolution_and_a_depth_to_space_in_onnx() -> None:
    net = network(nn.ConvTranspose2d(4, 4, 2, 2))
    rewritten(net)
    graph = exporters.to_onnx(net, IMAGES).graph
    assert [node.op_type for node in graph.node] == ["Conv", "Relu", "Conv", "DepthToSpace", "Relu", "Conv"]


def test_zeros_come_back_as_zeros_of_the_transposed_convolution() -> None:
    torch.manual_seed(0)
    spread = DepthToSpace(nn.ConvTranspose2d(4, 3, 2, 2))
    with torch.no_grad():
        spread.weight[5] = 0  # channel 1, pixel (0, 1)
    assert not spread.transposed().weight[:, 1, 0, 1].any()
    assert int((spread.transposed().weight == 0).sum()) == 4


def test_prune_folds_by_itself_and_says_so() -> None:
    torch.manual_seed(0)
    net = network(parametrizations.weight_norm(nn.Conv2d(4, 4, 1)))
    result = prune(net, IMAGES, PruneConfig(sparsity=0.5, method="reconstruct"))
    assert result.figures.rewritten == ("WeightNorm of 2 folded",)
    assert "2.weight" in result.masks
    assert hasattr(net[2], "parametrizations")  # type: ignore[index]
