"""Transform of images into a network's inputs: the table ``[transform]``, recorded in the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chita_edge.datasets.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Side = Annotated[int, Field(ge=1, le=16_384)]
_MODES = {"rgb": "RGB", "bgr": "RGB", "grey": "L"}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class TransformConfig(BaseModel):
    """How a uint8 image becomes what the network takes, in this order.

    Attributes:
        colour: "rgb", "bgr" or "grey": the channels, whatever the file has.
        resize: its shorter side, or (height, width), bilinearly.
        crop: then the middle: a square of this side, or (height, width).
        mean: of each channel, in units of the largest pixel value; taken off pixels between 0 and 1.
        std: of each channel; what is left is divided by it.
        layout: "channels_first" (channels, height, width), or "channels_last" (height, width, channels).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    resize: Annotated[Side | tuple[Side, Side] | None, BeforeValidator(_tuple)] = None
    crop: Annotated[Side | tuple[Side, Side] | None, BeforeValidator(_tuple)] = None
    mean: Annotated[tuple[float, ...], BeforeValidator(_tuple), Field(min_length=1, max_length=3)] = (0.0,)
    std: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...], BeforeValidator(_tuple), Field(min_length=1, max_length=3)
    ] = (1.0,)
    layout: Literal["channels_first", "channels_last"] = "channels_first"

    @property
    def channels(self) -> int:
        """That an input has."""
        return 1 if self.colour == "grey" else 3

    def image(self, image: Image) -> torch.Tensor:
        """Network input, float32 (channels, height, width) or as `layout` says, of one image.

        Raises:
            DataError: it is smaller than the crop.
        """
        from PIL.Image import Resampling

        image = image.convert(_MODES[self.colour])
        size = _resized(image.size, self.resize)
        if size != image.size:
            image = image.resize(size, Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image, np.uint8))
        return self.pixels(pixels[..., None] if pixels.ndim == 2 else pixels)

    def pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Network inputs of uint8 (…, height, width, channels) that have their size already, but for the crop.

        Raises:
            DataError: they are smaller than the crop, or have another number of channels than mean or std.
        """
        if self.crop is not None:
            pixels = _cropped(pixels, (self.crop, self.crop) if isinstance(self.crop, int) else self.crop)
        if self.colour == "bgr":
            pixels = pixels.flip(-1)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, pixels.shape[-1]):
                raise DataError(
                    f"The transform's {name} has {len(values)} numbers and images have {pixels.shape[-1]} channels."
                )
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        inputs = (pixels.float() / 255 - mean) / std
        return (inputs if self.layout == "channels_last" else inputs.movedim(-1, -3)).contiguous()


def _resized(size: tuple[int, int], wanted: int | tuple[int, int] | None) -> tuple[int, int]:
    """(width, height)."""
    if wanted is None:
        return size
    if isinstance(wanted, tuple):
        return wanted[1], wanted[0]
    width, height = size
    short = min(size)
    return max(1, round(width * wanted / short)), max(1, round(height * wanted / short))


def _cropped(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    height, width = pixels.shape[-3:-1]
    if height < size[0] or width < size[1]:
        raise DataError(f"An image of {height}×{width} cannot be cropped to {size[0]}×{size[1]}; resize it first.")
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return pixels[..., top : top + size[0], left : left + size[1], :]
