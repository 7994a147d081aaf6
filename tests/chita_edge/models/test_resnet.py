"""ResNet-50 has torchvision's parameters."""

from __future__ import annotations

import torch

from chita_edge.models.resnet import ResNet50


def test_parameters_are_torchvisions() -> None:
    with torch.device("meta"):
        state = ResNet50().state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert len(shapes) == 320
    assert list(shapes)[:2] == ["conv1.weight", "bn1.weight"]
    assert list(shapes)[-2:] == ["fc.weight", "fc.bias"]
    some = {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.running_var": (256,),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer3.5.conv1.weight": (256, 1024, 1, 1),
        "layer4.2.bn3.num_batches_tracked": (),
        "fc.weight": (1000, 2048),
    }
    assert some.items() <= shapes.items()
    assert "layer1.1.downsample.0.weight" not in shapes


def test_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in ResNet50().parameters()) == 25_557_032


def test_strides_add_up_to_32() -> None:
    with torch.device("meta"):
        net = ResNet50(num_classes=7, in_channels=1).eval()
        features = net.layer4(net.layer3(net.layer2(net.layer1(net.maxpool(net.conv1(torch.zeros(2, 1, 96, 64)))))))
        assert features.shape == (2, 2048, 3, 2)
        assert net(torch.zeros(2, 1, 96, 64)).shape == (2, 7)
