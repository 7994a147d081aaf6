from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from chita_edge.engine.reconstruct import reconstruct
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.network.targets import pointwise_and_linear
from chita_edge.pruning import Constraint, get_pattern
from chita_edge.pruning.allocation.top import top_mask
from chita_edge.tuning import divergence, recalibrate_batch_norm


def networks() -> tuple[nn.Module, nn.Module, torch.Tensor, dict[str, torch.Tensor], dict[str, Constraint]]:
    torch.manual_seed(0)
    dense = MobileNetV1(width=0.25, num_classes=10, in_channels=1)
    images = torch.randn(30, 1, 32, 32)
    recalibrate_batch_norm(dense, images)
    dense.eval()
    parameters = dict(dense.named_parameters())
    masks, sets = {}, {}
    for name in pointwise_and_linear(dense):
        weight = parameters[name].detach()
        keep = weight.numel() // 3
        masks[name] = top_mask(weight.flatten().abs(), keep).view(weight.shape)
        sets[name] = Constraint(get_pattern("unstructured"), (weight.shape,), keep)
    pruned = copy.deepcopy(dense)
    with torch.no_grad():
        for name, mask in masks.items():
            dict(pruned.named_parameters())[name].mul_(mask)
    return dense, pruned, images, masks, sets


@pytest.mark.parametrize("search", [False, True])
def test_brings_predictions_back_under_the_same_budgets(search: bool) -> None:
    dense, pruned, images, masks, sets = networks()
    lost = divergence(pruned, dense, images)
    before = copy.deepcopy(dense.state_dict())
    seen: list[tuple[str, int, int]] = []
    found = reconstruct(pruned, dense, images, sets, masks, search=search, progress=lambda *s: seen.append(s))
    assert divergence(pruned, dense, images) < 0.7 * lost
    assert list(found) == list(masks)
    parameters = dict(pruned.named_parameters())
    for name, mask in found.items():
        assert int(mask.sum()) == int(masks[name].sum())
        assert not parameters[name].detach()[~mask].any()
        assert search or torch.equal(mask, masks[name])
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())
    assert seen == [("reconstruct", number, len(masks)) for number in range(len(masks) + 1)]


def test_nothing_pruned_nothing_changed() -> None:
    dense, _, images, masks, sets = networks()
    full = {name: torch.ones_like(mask) for name, mask in masks.items()}
    copied = copy.deepcopy(dense)
    reconstruct(copied, dense, images, sets, full, search=False)
    state = dense.state_dict()
    for name, value in copied.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-2, atol=1e-3)


def test_means_before_batch_norm_are_the_dense_ones() -> None:
    dense, pruned, images, masks, sets = networks()
    reconstruct(pruned, dense, images, sets, masks)
    norm, reference = pruned.features[13][1][1], dense.features[13][1][1]
    outputs = {}
    for network, module in ((pruned, norm), (dense, reference)):
        handle = module.register_forward_hook(lambda m, a, out, key=network: outputs.setdefault(key, out))
        with torch.no_grad():
            network(images)
        handle.remove()
    torch.testing.assert_close(outputs[pruned].mean((0, 2, 3)), outputs[dense].mean((0, 2, 3)), rtol=1e-3, atol=1e-3)


def test_batches_make_no_difference() -> None:
    dense, pruned, images, masks, sets = networks()
    other = copy.deepcopy(pruned)
    names = list(masks)[:3]
    some = {name: masks[name] for name in names}
    reconstruct(pruned, dense, images, sets, some)
    reconstruct(other, dense, images, sets, some, batch_size=7)
    for name in names:
        expected, found = (dict(network.named_parameters())[name] for network in (pruned, other))
        assert float((expected - found).detach().norm()) < 0.02 * float(expected.detach().norm())


def test_memory_limits_the_images() -> None:
    dense, pruned, images, masks, sets = networks()
    other = copy.deepcopy(pruned)
    # The largest input of a layer here: 8 channels of 16 × 16, of 4 bytes.
    reconstruct(pruned, dense, images, sets, masks, search=False, batch_size=5, memory_bytes=20 * 4 * 8 * 16 * 16 * 4)
    reconstruct(other, dense, images[:20], sets, masks, search=False, batch_size=5)
    expected, found = other.state_dict(), pruned.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


class Halves(nn.Module):
    """A convolution of two groups as two convolutions."""

    def __init__(self, grouped: nn.Conv2d) -> None:
        super().__init__()
        rows, inputs = grouped.out_channels // 2, grouped.in_channels // 2
        self.parts = nn.ModuleList(nn.Conv2d(inputs, rows, 3, 2, 1) for _ in range(2))
        for part, weight, bias in zip(self.parts, grouped.weight.chunk(2), grouped.bias.chunk(2), strict=True):
            part.weight, part.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([part(half) for part, half in zip(self.parts, x.chunk(2, 1), strict=True)], 1)


@pytest.mark.parametrize("search", [False, True])
def test_each_group_is_refitted_as_a_layer_of_its_own(search: bool) -> None:
    torch.manual_seed(0)
    grouped = nn.Conv2d(6, 8, 3, 2, 1, groups=2)
    dense = nn.Sequential(grouped, nn.ReLU()).eval()
    twin = nn.Sequential(Halves(grouped), nn.ReLU()).eval()
    mask = torch.rand_like(grouped.weight) < 0.5
    masks = {"0.weight": mask}
    halves = {f"0.parts.{half}.weight": part for half, part in enumerate(mask.chunk(2))}
    sets = {"0.weight": Constraint(get_pattern("unstructured"), (mask.shape,), int(mask.sum()))}
    images = torch.randn(20, 6, 12, 12)
    pruned, pruned_twin = copy.deepcopy(dense), copy.deepcopy(twin)
    with torch.no_grad():
        pruned[0].weight.mul_(mask)
        for half, part in enumerate(mask.chunk(2)):
            pruned_twin[0].parts[half].weight.mul_(part)
    before = divergence(pruned, dense, images)
    found = reconstruct(pruned, dense, images, sets, masks, search=search)
    reconstruct(pruned_twin, twin, images, {}, halves, search=False)
    assert torch.equal(found["0.weight"], mask)
    torch.testing.assert_close(pruned[0].weight, torch.cat([part.weight for part in pruned_twin[0].parts]))
    assert not pruned[0].weight.detach()[~mask].any()
    assert divergence(pruned, dense, images) < before
