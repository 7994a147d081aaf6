from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from chita_edge.pruning import PruningError
from chita_edge.shrinking import shrink


def network() -> nn.Module:
    torch.manual_seed(0)
    return MobileNetV1(0.25, 5, 1).eval()


def calibration(channels: int = 1, n: int = 10) -> LabelledImages:
    rng = torch.Generator().manual_seed(0)
    return LabelledImages(torch.randn(n, channels, 32, 32, generator=rng), torch.arange(n) % 5)


@pytest.mark.parametrize("structure", ["filter", "channel"])
@pytest.mark.parametrize("method", ["default", "chita_pp"])
def test_smaller_by_what_was_asked_and_all_classes_stay(method: str, structure: str) -> None:
    net, data = network(), calibration()
    before = copy.deepcopy(net.state_dict())
    rounds = 2 if method == "chita_pp" else None
    config = PruneConfig(sparsity=0.5, method=method, structure=structure, allocation="uniform", rounds=rounds)
    result = prune(net, data, config)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert 0.4999 <= result.figures.sparsity < 0.6
    parameters = dict(result.model.named_parameters())
    for name, mask in result.masks.items():
        assert not parameters[name][~mask].any()
    rows = result.masks["classifier.1.weight"].any(1)
    assert bool(rows.all()), "a class is gone"
    smaller = shrink(result.model, data.images[:1])
    sizes = {name: parameter.numel() for name, parameter in smaller.named_parameters()}
    assert all(sizes[layer.name] == layer.nnz for layer in result.figures.layers)
    with torch.no_grad():
        assert torch.allclose(smaller(data.images), result.model(data.images), rtol=1e-3, atol=1e-4)


def test_residual_sums_lose_the_same_channels_everywhere() -> None:
    torch.manual_seed(0)
    net = ResNet20Cifar().eval()
    names = tuple(f"{n}.weight" for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in n)
    config = PruneConfig(sparsity=0.7, structure="filter", gradient_samples=5)
    result = prune(net, calibration(3), config, prunable=names)
    smaller = shrink(result.model, calibration(3).images[:1])
    widths = {smaller.get_submodule(f"layer2.{block}.conv2").weight.shape[0] for block in range(3)}  # type: ignore[union-attr]
    assert widths == {smaller.get_submodule("layer2.0.downsample.0").weight.shape[0]}  # type: ignore[union-attr]
    assert 0.6999 <= result.figures.sparsity < 0.75


def test_same_seed_same_network() -> None:
    config = PruneConfig(structure="channel", sparsity=0.4)
    first, second = (prune(network(), calibration(), config).model.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_nothing_that_could_go_is_a_sentence() -> None:
    with pytest.raises(PruningError, match=r"no layer to prune: 1\.weight"):
        prune(nn.Sequential(nn.Flatten(), nn.Linear(1024, 5)), calibration(), PruneConfig(structure="filter"))
