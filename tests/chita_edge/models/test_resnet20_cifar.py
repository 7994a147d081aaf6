"""ResNet-20 for CIFAR."""

from __future__ import annotations

import pytest
import torch

from chita_edge.models.resnet20_cifar import BasicBlock, ResNet20Cifar


def test_parameters() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in ResNet20Cifar().state_dict().items()}
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert set(shapes) == {
        *("conv1.weight", "fc.weight", "fc.bias"),
        *(f"bn1.{part}" for part in norm),
        *(f"{block}.conv{index}.weight" for block in blocks for index in (1, 2)),
        *(f"{block}.bn{index}.{part}" for block in blocks for index in (1, 2) for part in norm),
        *(f"layer{stage}.0.downsample.0.weight" for stage in (2, 3)),
        *(f"layer{stage}.0.downsample.1.{part}" for stage in (2, 3) for part in norm),
    }
    assert shapes["layer2.0.conv1.weight"] == (32, 16, 3, 3)
    assert shapes["layer3.0.downsample.0.weight"] == (64, 32, 1, 1)


def test_number_of_weights_without_shortcuts() -> None:
    weights = {name: tensor for name, tensor in ResNet20Cifar().named_parameters() if tensor.ndim > 1}
    assert sum(tensor.numel() for name, tensor in weights.items() if "downsample" not in name) == 268_336


@pytest.mark.parametrize("training", [False, True])
def test_logits(training: bool) -> None:
    net = ResNet20Cifar(num_classes=7).train(training)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_block_whose_convolutions_are_zero_passes_its_input_on() -> None:
    block = BasicBlock(4, 4, stride=1).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 4, 5, 5)
    torch.testing.assert_close(block(x), x)
