from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from chita_edge.datasets.errors import DamagedImageError, DataError
from chita_edge.datasets.image_folder import ImageFolder, find_images, open_image
from chita_edge.datasets.transform import TransformConfig


def image(path: Path, value: int = 0, size: tuple[int, int] = (5, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


def test_folders_are_classes(tmp_path: Path) -> None:
    image(tmp_path / "dog" / "b.png", 2)
    image(tmp_path / "cat" / "deep" / "a.jpg", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    found = find_images(tmp_path)
    assert [file.name for file in found.files] == ["a.jpg", "b.png"]
    assert (found.labels, found.classes) == ((0.0, 1.0), ("cat", "dog"))
    pixels, label = ImageFolder(found, TransformConfig())[1]
    assert pixels.shape == (3, 4, 5)
    assert int(label) == 1
    assert not label.is_floating_point()


@pytest.mark.parametrize(
    ("rows", "labels", "classes"),
    [
        ("b.png,7\na.png,3\n", (3.0, 7.0), ()),
        ("file,label\na.png,0.5\nb.png,1\n", (0.5, 1.0), ()),
        ("a.png,dog\nb.png,cat\n", (1.0, 0.0), ("cat", "dog")),
    ],
)
def test_a_table_has_the_labels(tmp_path: Path, rows: str, labels: tuple[float, ...], classes: tuple[str, ...]) -> None:
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    (tmp_path / "labels.csv").write_text(rows)
    found = find_images(tmp_path)
    assert (found.labels, found.classes) == (labels, classes)


def test_images_alone_have_no_labels(tmp_path: Path) -> None:
    image(tmp_path / "a.png", 255)
    found = find_images(tmp_path)
    assert found.labels is None
    data = ImageFolder(found, TransformConfig(colour="grey"))
    assert float(data[0].min()) == 1.0  # type: ignore[union-attr]
    assert data.place(0) == f"image {tmp_path / 'a.png'}"


@pytest.mark.parametrize(
    ("files", "table", "reason"),
    [
        ((), None, "holds no images"),
        (("a.png", "cat/b.png"), None, "images both beside and in its folders"),
        (("a.png",), "a.png,1,2", "Row 1 of .* has 3 entries; rows are file,label"),
        (("a.png",), "a.png,1\nc.png,2", "Row 2 of .* names 'c.png', which is no image"),
        (("a.png", "b.png"), "a.png,1", "b.png has no row in"),
    ],
)
def test_folders_of_another_kind_are_a_sentence(
    tmp_path: Path, files: tuple[str, ...], table: str | None, reason: str
) -> None:
    for name in files:
        image(tmp_path / name)
    if table is not None:
        (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DataError, match=reason):
        find_images(tmp_path)


def test_damaged_and_hostile_files_are_a_sentence(tmp_path: Path) -> None:
    whole = image(tmp_path / "a.png", size=(64, 64)).read_bytes()
    for number, data in enumerate((b"", b"text", whole[:60], whole[:-30], b"%!PS-Adobe-3.0 EPSF-3.0\n")):
        path = tmp_path / f"bad{number}.png"
        path.write_bytes(data)
        with pytest.raises(DamagedImageError, match=f"bad{number}.png (is damaged|cannot be read)"):
            open_image(path)
    large = bytearray(whole)
    large[16:24] = (9000).to_bytes(4, "big") * 2  # claims 81 million pixels
    (tmp_path / "large.png").write_bytes(large)
    with pytest.raises(DataError, match=r"large\.png"):
        open_image(tmp_path / "large.png")
