"""Images of Pillow among the inputs of a data set's items, made into tensors as the table ``[transform]`` says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from chita_edge.datasets.errors import DamagedImageError, DataError

if TYPE_CHECKING:
    from chita_edge.datasets.transform import TransformConfig


class Pictures:
    """Conversion of images, and whether any was met.

    Args:
        transform: of an image into an input; images are refused when None.
    """

    def __init__(self, transform: TransformConfig | None = None) -> None:
        self.transform = transform
        self.met = False

    def __call__(self, value: Any, where: str) -> Any:
        """The input of an image; any other value as it is.

        Raises:
            DataError: there is no transform, or the image does not fit it.
            DamagedImageError: it cannot be read.
        """
        if not is_picture(value):
            return value
        self.met = True
        if self.transform is None:
            raise DataError(
                f"The data's {where} is an image of {value.height}×{value.width} pixels, and nothing says how it "
                "becomes an input: give the table [transform] with resize or crop, mean, std and layout, or convert it "
                "in the data set."
            )
        try:
            return self.transform.image(value)
        except DataError as error:
            raise DataError(f"The data's {where}: {error}") from None
        except (OSError, ValueError, SyntaxError) as error:  # Pillow reads a file when its pixels are asked for
            raise DamagedImageError(f"The data's {where} is an image that cannot be read: {error}.") from None


def is_picture(value: Any) -> bool:
    """Whether a value is an image of Pillow, which is not imported to find out."""
    library = sys.modules.get("PIL.Image")
    return library is not None and isinstance(value, library.Image)
