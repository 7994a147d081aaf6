"""The layers of the networks that kernels are measured on, as (op, in, out, kernel, stride, input side, how many)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One convolution with a square window and input, padded to keep the size at stride 1.

    csr_gemm has side² rows. The window and the stride of global_average_pool are the side.
    """

    op: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    side: int

    @property
    def out_side(self) -> int:
        """Height and width of the output."""
        return -(-self.side // self.stride)

    @property
    def dense_macs(self) -> int:
        """Multiply-adds of the layer without zeros, padding included."""
        inputs = 1 if self.op in ("depthwise_conv", "global_average_pool") else self.in_channels
        return self.out_side**2 * self.out_channels * inputs * self.kernel**2


def pool(channels: int, side: int) -> Layer:
    """The mean of each plane."""
    return Layer("global_average_pool", channels, channels, side, side, side)


def mobilenet_v1(width: float, side: int, in_channels: int, classes: int) -> list[Layer]:
    """MobileNetV1 (arXiv 1704.04861, table 1)."""
    channels = int(32 * width)
    layers = [Layer("dense_conv", in_channels, channels, 3, 2, side)]
    side //= 2
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for out_full, stride in blocks:
        layers.append(Layer("depthwise_conv", channels, channels, 3, stride, side))
        side //= stride
        layers.append(Layer("csr_conv", channels, int(out_full * width), 1, 1, side))
        channels = int(out_full * width)
    return [*layers, pool(channels, side), Layer("csr_gemm", channels, classes, 1, 1, 1)]


def mobilenet_v2(side: int = 224) -> list[Layer]:
    """MobileNetV2 1.0 (arXiv 1801.04381, table 2)."""
    layers, channels, side = [Layer("dense_conv", 3, 32, 3, 2, side)], 32, side // 2
    for factor, out, count, first_stride in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ):
        for stride in (first_stride, *(1,) * (count - 1)):
            hidden = channels * factor
            if factor > 1:
                layers.append(Layer("csr_conv", channels, hidden, 1, 1, side))
            layers.append(Layer("depthwise_conv", hidden, hidden, 3, stride, side))
            side //= stride
            layers.append(Layer("csr_conv", hidden, out, 1, 1, side))
            channels = out
    head = Layer("csr_conv", channels, 1280, 1, 1, side)
    return [*layers, head, pool(1280, side), Layer("csr_gemm", 1280, 1000, 1, 1, 1)]


def resnet50(side: int = 224) -> list[Layer]:
    """ResNet-50 (arXiv 1512.03385, table 1), the stride in the 3×3 as torchvision has it."""
    layers, channels, side = [Layer("dense_conv", 3, 64, 7, 2, side)], 64, side // 4
    for width, count, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block, stride in enumerate((first_stride, *(1,) * (count - 1))):
            layers.append(Layer("csr_conv", channels, width, 1, 1, side))
            layers.append(Layer("csr_conv", width, width, 3, stride, side))
            if block == 0:
                layers.append(Layer("csr_conv", channels, width * 4, 1, stride, side))
            side //= stride
            channels = width * 4
            layers.append(Layer("csr_conv", width, channels, 1, 1, side))
    return [*layers, pool(2048, side), Layer("csr_gemm", 2048, 1000, 1, 1, 1)]


def resnet20() -> list[Layer]:
    """ResNet-20 for 32×32 images (arXiv 1512.03385, section 4.2), 1×1 convolutions in its shortcuts."""
    layers, channels, side = [Layer("dense_conv", 3, 16, 3, 1, 32)], 16, 32
    for width in (16, 32, 64):
        for block in range(3):
            stride = 2 if block == 0 and width > 16 else 1
            layers.append(Layer("csr_conv", channels, width, 3, stride, side))
            if stride == 2:
                layers.append(Layer("csr_conv", channels, width, 1, stride, side))
            side //= stride
            layers.append(Layer("csr_conv", width, width, 3, 1, side))
            channels = width
    return [*layers, pool(64, side), Layer("csr_gemm", 64, 10, 1, 1, 1)]


def tokens(side: int = 8) -> list[Layer]:
    """Linear layers of transformers on side² tokens, each beside the 1×1 convolution of as many multiply-adds."""
    sizes = [(192, 768), (256, 256), (512, 512), (768, 768), (768, 3072), (3072, 768)]
    return [Layer(op, inputs, outputs, 1, 1, side) for inputs, outputs in sizes for op in ("csr_gemm", "csr_conv")]


NETWORKS = {
    "mobilenet": mobilenet_v1(0.5, 96, 1, 10),
    "mobilenet_v1": mobilenet_v1(1.0, 224, 3, 1000),
    "mobilenet_v2": mobilenet_v2(),
    "resnet50": resnet50(),
    "resnet20_cifar": resnet20(),
    "tokens": tokens(),
}


def distinct(layers: list[Layer]) -> list[tuple[Layer, int]]:
    """Each layer once, with how often it occurs."""
    return list(Counter(layers).items())
