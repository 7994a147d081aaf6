"""MobileNetV2 has torchvision's parameters."""

from __future__ import annotations

import pytest
import torch

from chita_edge.models.mobilenet_v2 import InvertedResidual, MobileNetV2


def test_parameters_are_torchvisions() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in MobileNetV2().state_dict().items()}
    assert len(shapes) == 314
    some = {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.0.1.running_mean": (32,),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.1.conv.2.bias": (16,),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.2.conv.1.1.num_batches_tracked": (),
        "features.2.conv.2.weight": (24, 96, 1, 1),
        "features.2.conv.3.weight": (24,),
        "features.17.conv.2.weight": (320, 960, 1, 1),
        "features.18.0.weight": (1280, 320, 1, 1),
        "classifier.1.weight": (1000, 1280),
    }
    assert some.items() <= shapes.items()


# Published sizes of the architecture at its widths.
@pytest.mark.parametrize(("width", "parameters"), [(1.0, 3_504_872), (1.4, 6_108_776), (0.5, 1_968_680)])
def test_number_of_parameters(width: float, parameters: int) -> None:
    with torch.device("meta"):
        assert sum(tensor.numel() for tensor in MobileNetV2(width).parameters()) == parameters


def test_ten_blocks_have_a_shortcut() -> None:
    with torch.device("meta"):
        blocks = [module for module in MobileNetV2().modules() if isinstance(module, InvertedResidual)]
    assert len(blocks) == 17
    assert sum(block.has_shortcut for block in blocks) == 10


def test_logits() -> None:
    net = MobileNetV2(width=0.35, num_classes=7, in_channels=1).eval()
    assert net(torch.zeros(2, 1, 64, 32)).shape == (2, 7)
    assert net.features(torch.zeros(1, 1, 64, 32)).shape == (1, 1280, 2, 1)
