from __future__ import annotations

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from chita_edge.datasets.errors import DataError
from chita_edge.datasets.transform import TransformConfig

RAMP = Image.frombytes("RGB", (6, 4), bytes(range(6 * 4 * 3)))


def test_pixels_are_normalised_by_channel() -> None:
    found = TransformConfig(mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0)).image(RAMP)
    assert found.shape == (3, 4, 6)
    r, g, b = (float(found[c, 2, 1]) for c in range(3))
    first = (2 * 6 + 1) * 3
    assert r == pytest.approx((first / 255 - 0.5) / 0.5)
    assert g == pytest.approx((first + 1) / 255 - 0.25)
    assert b == pytest.approx((first + 2) / 255 / 2)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"resize": 8}, (3, 8, 12)),
        ({"resize": (5, 7)}, (3, 5, 7)),
        ({"crop": 2}, (3, 2, 2)),
        ({"resize": 8, "crop": (4, 6)}, (3, 4, 6)),
        ({"colour": "grey"}, (1, 4, 6)),
        ({"layout": "channels_last"}, (4, 6, 3)),
        ({"resize": [5, 7]}, (3, 5, 7)),
    ],
)
def test_sizes_and_layouts(options: dict[str, object], shape: tuple[int, ...]) -> None:
    assert TransformConfig.model_validate(options).image(RAMP).shape == shape


def test_the_middle_is_cropped_and_colours_are_turned() -> None:
    whole, middle = TransformConfig().image(RAMP), TransformConfig(crop=(2, 2)).image(RAMP)
    assert torch.equal(middle, whole[:, 1:3, 2:4])
    assert torch.equal(TransformConfig(colour="bgr").image(RAMP), whole.flip(0))


def test_what_does_not_fit_is_a_sentence() -> None:
    with pytest.raises(DataError, match=r"image of 4×6 cannot be cropped to 5×5"):
        TransformConfig(crop=5).image(RAMP)
    with pytest.raises(DataError, match="mean has 2 numbers and images have 3 channels"):
        TransformConfig(mean=(0.0, 1.0)).image(RAMP)
    for wrong in ({"std": (0.0,)}, {"crop": 0}, {"crops": 3}, {"layout": "nchw"}):
        with pytest.raises(ValidationError):
            TransformConfig.model_validate(wrong)
