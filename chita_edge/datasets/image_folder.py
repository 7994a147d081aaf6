"""A folder of images: one folder a class, or flat with a CSV of file and label, or without labels."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset

from chita_edge.datasets.errors import DamagedImageError, DataError

if TYPE_CHECKING:
    from chita_edge.datasets.transform import TransformConfig

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
_MOST_PIXELS = 1 << 26
_MOST_FILES = 10_000_000
_MOST_CSV_BYTES = 1 << 30
_PAIR = 2


@dataclass(frozen=True)
class ImageFiles:
    """Images of a folder.

    Attributes:
        folder: they lie in.
        files: sorted by name.
        labels: one a file: whole numbers, or floats of a regression; None where there are none.
        classes: names of the classes, where labels were names.
    """

    folder: Path
    files: tuple[Path, ...]
    labels: tuple[float, ...] | None = None
    classes: tuple[str, ...] = ()


def find_images(folder: Path) -> ImageFiles:
    """The images of a folder, and their labels.

    Folders in it are classes, numbered in the order of their names. A flat folder may hold one CSV file whose rows are
    ``file,label``, with or without a heading; labels are class numbers, floats, or names, numbered in their order.

    Raises:
        DataError: there is no image; images lie in it as well as in its folders; or the CSV is not of that kind.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from None
    flat = tuple(path for path in inside if _is_image(path))
    by_class = {path.name: tuple(sorted(file for file in path.rglob("*") if _is_image(file)))
                for path in inside if path.is_dir() and not path.name.startswith(".")}  # fmt: skip
    by_class = {name: files for name, files in by_class.items() if files}
    tables = [path for path in inside if path.suffix.lower() == ".csv"]
    if flat and by_class:
        raise DataError(f"The folder {folder} holds images both beside and in its folders; keep one of them.")
    if not flat and not by_class:
        raise DataError(f"The folder {folder} holds no images ({', '.join(SUFFIXES)}).")
    if by_class:
        names = tuple(by_class)
        files = tuple(file for one in by_class.values() for file in one)
        return ImageFiles(folder, files, tuple(float(names.index(_class_of(folder, file))) for file in files), names)
    if len(tables) > 1:
        raise DataError(f"The folder {folder} holds the CSV files {tables[0].name} and {tables[1].name}; keep one.")
    return _with_table(folder, flat, tables[0]) if tables else ImageFiles(folder, flat)


def _class_of(folder: Path, file: Path) -> str:
    return file.relative_to(folder).parts[0]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _with_table(folder: Path, files: tuple[Path, ...], table: Path) -> ImageFiles:
    if table.stat().st_size > _MOST_CSV_BYTES:
        raise DataError(f"The file {table} is larger than {_MOST_CSV_BYTES:,} bytes, which no list of labels is.")
    try:
        rows = [row for row in csv.reader(io.StringIO(table.read_text("utf-8-sig"))) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The file {table} cannot be read as CSV: {error}.") from None
    here = {file.name: file for file in files}
    if rows and rows[0][0] not in here:  # a heading
        rows = rows[1:]
    labels: dict[Path, str] = {}
    for number, row in enumerate(rows, start=1):
        if len(row) != _PAIR:
            raise DataError(f"Row {number} of {table} has {len(row)} entries; rows are file,label.")
        if row[0] not in here:
            raise DataError(f"Row {number} of {table} names {row[0]!r}, which is no image in {folder}.")
        labels[here[row[0]]] = row[1].strip()
    missing = next((file for file in files if file not in labels), None)
    if missing is not None:
        raise DataError(f"The image {missing} has no row in {table}; give every image a label, or none.")
    values, classes = _numbered([labels[file] for file in files])
    return ImageFiles(folder, files, values, classes)


def _numbered(texts: list[str]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    try:
        return tuple(float(text) for text in texts), ()
    except ValueError:
        names = tuple(sorted(set(texts)))
        places = {name: float(number) for number, name in enumerate(names)}
        return tuple(places[text] for text in texts), names


class ImageFolder(Dataset[Any]):
    """Network inputs of a folder's images, with their labels where there are any.

    Args:
        found: the files.
        transform: of an image into an input.
    """

    def __init__(self, found: ImageFiles, transform: TransformConfig) -> None:
        self.found, self.transform = found, transform
        labels = found.labels
        self._whole = labels is not None and all(label.is_integer() for label in labels)

    def __len__(self) -> int:
        return len(self.found.files)

    def place(self, index: int) -> str:
        """The file of a sample, for messages."""
        return f"image {self.found.files[index]}"

    def __getitem__(self, index: int) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        path = self.found.files[index]
        try:
            image = self.transform.image(open_image(path))
        except DamagedImageError:
            raise
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if self.found.labels is None:
            return image
        label = self.found.labels[index]
        return image, torch.tensor(int(label) if self._whole else label)


def open_image(path: Path) -> Any:
    """The pixels of an image file that may be damaged or hostile, as Pillow reads it.

    Raises:
        DataError: it is damaged, of another format than its name may say, or too large.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise DataError("Images are read with Pillow, which is missing: pip install chita-edge[images].") from None
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(
                    f"The image {path} has {image.width}×{image.height} pixels, more than the {_MOST_PIXELS:,} that "
                    "are read."
                )
            image.load()
            return image.copy()
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DamagedImageError(f"The image {path} is damaged or of no known format.") from None
    except Exception as error:  # Pillow's readers raise whatever they meet in a damaged file
        text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DamagedImageError(f"The image {path} cannot be read: {text}.") from None
