"""Data files that are wrong or hostile are sentences, and nothing in them is executed or believed."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from chita_edge.datasets.errors import DataError
from chita_edge.datasets.npz import read_arrays


class _RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def _npy(array: np.ndarray, **changes: object) -> bytes:
    """An npy file of `array` whose header tells something else."""
    buffer = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **changes}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + array.tobytes()


def _archive(path: Path, content: bytes, name: str = "x.npy", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_the_arrays_that_are_asked_for(tmp_path: Path, save: object) -> None:
    x, y = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.asfortranarray(np.arange(6.0).reshape(2, 3))
    save(tmp_path / "data.npz", x=x, y=y, other=np.array([_RunsCode()]))  # type: ignore[operator]
    arrays = read_arrays(tmp_path / "data.npz", ("x", "y", "absent"))
    assert set(arrays) == {"x", "y"}
    np.testing.assert_array_equal(arrays["x"], x)
    np.testing.assert_array_equal(arrays["y"], y)


def test_objects_are_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=np.array([_RunsCode()]))
    with pytest.raises(DataError, match="stores x as Python objects"):
        read_arrays(Path("data.npz"), ("x",))
    assert not Path("executed").exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = _archive(tmp_path / "data.npz", _npy(np.zeros(100 << 20, np.uint8)))
    with pytest.raises(DataError, match="would unpack to 104,857,"):
        read_arrays(path, ("x",))


@pytest.mark.parametrize("shape", [(1 << 40,), (3,), (5,), (1 << 62, 8), (-1,), ()])
def test_a_header_that_lies_about_its_size_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = _archive(tmp_path / "data.npz", _npy(np.zeros(4, np.float32), shape=shape))
    with pytest.raises(DataError, match=r"data\.npz"):
        read_arrays(path, ("x",))


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = _npy(np.zeros(1000, np.float32))
    path = _archive(tmp_path / "data.npz", content)
    data = path.read_bytes()
    told = len(content).to_bytes(4, "little")
    assert data.count(told) == 2
    path.write_bytes(data.replace(told, (10 * len(content)).to_bytes(4, "little")))
    with pytest.raises(DataError, match=r"data\.npz"):
        read_arrays(path, ("x",))


@pytest.mark.parametrize("at", [20, 45, 90, 120])
def test_a_flipped_byte_is_a_sentence(tmp_path: Path, at: int) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=np.random.default_rng(0).integers(0, 255, 500, np.uint8))
    data = bytearray((tmp_path / "data.npz").read_bytes())
    data[at] ^= 0xFF
    (tmp_path / "data.npz").write_bytes(data)
    try:
        arrays = read_arrays(tmp_path / "data.npz", ("x",))
    except DataError as error:
        assert "data.npz" in str(error)
    else:  # a byte that says nothing, such as one of the date
        np.testing.assert_array_equal(arrays["x"], np.random.default_rng(0).integers(0, 255, 500, np.uint8))


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 200])
def test_a_truncated_file_is_a_sentence(tmp_path: Path, keep: int) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros(100))
    (tmp_path / "data.npz").write_bytes((tmp_path / "data.npz").read_bytes()[:keep])
    with pytest.raises(DataError, match="damaged or not an npz file"):
        read_arrays(tmp_path / "data.npz", ("x",))


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_arrays(tmp_path / "data.npz", ("x",))


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x.npy", _npy(np.zeros(1)))
        archive.writestr("x.npy", _npy(np.zeros(2)))
    with pytest.raises(DataError, match="two entries of the same name"):
        read_arrays(path, ("x",))


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    path = _archive(tmp_path / "data.npz", _npy(np.zeros(1)), method=zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match="in a way that numpy does not write"):
        read_arrays(path, ("x",))
