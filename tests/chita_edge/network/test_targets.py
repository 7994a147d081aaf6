from torch import nn

from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from chita_edge.network.targets import convolutions_and_linear, pointwise_and_linear, without_shortcuts


def test_takes_pointwise_convolutions_and_linear_layers_in_order() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1, groups=8), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2)
    )
    assert pointwise_and_linear(model) == ("2.weight", "4.weight")


def test_an_attention_keeps_its_projection_and_its_neighbours_are_pruned() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    assert pointwise_and_linear(layer) == convolutions_and_linear(layer) == ("linear1.weight", "linear2.weight")


def test_mobilenet_keeps_stem_and_depthwise_out() -> None:
    names = pointwise_and_linear(MobileNetV1(width=0.5, num_classes=10, in_channels=1))
    assert names == (*(f"features.{b}.1.0.weight" for b in range(1, 14)), "classifier.1.weight")


def test_resnet20_keeps_its_shortcuts_dense() -> None:
    model = ResNet20Cifar()
    names = without_shortcuts(model)
    assert sum(model.get_parameter(name).numel() for name in names) == 268_336
    assert len(names) == 20
    assert set(convolutions_and_linear(model)) - set(names) == {
        f"layer{stage}.0.downsample.0.weight" for stage in (2, 3)
    }


def test_depthwise_filters_are_never_pruned() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Linear(4, 2))
    assert convolutions_and_linear(model) == ("0.weight", "2.weight")
