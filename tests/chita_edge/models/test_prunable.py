from torch import nn

from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.prunable import pointwise_and_linear


def test_takes_pointwise_convolutions_and_linear_layers_in_order() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1, groups=8), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2)
    )
    assert pointwise_and_linear(model) == ("2.weight", "4.weight")


def test_mobilenet_keeps_stem_and_depthwise_out() -> None:
    names = pointwise_and_linear(MobileNetV1(width=0.5, num_classes=10, in_channels=1))
    assert names == (*(f"features.{b}.1.0.weight" for b in range(1, 14)), "classifier.1.weight")
