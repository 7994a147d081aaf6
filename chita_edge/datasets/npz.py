"""Arrays of an ``.npz`` file that may be wrong or hostile: sizes are checked before anything is unpacked."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from chita_edge.datasets.errors import DataError

# Images compress well, but not without end: an archive that claims to unpack to more is a bomb.
_MAX_UNPACK_RATIO = 200
_SLACK_BYTES = 1 << 26
_MAX_BYTES = 16 << 30
_MAX_MEMBERS = 1000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_arrays(path: Path, names: Collection[str]) -> dict[str, NDArray[np.generic]]:
    """The arrays of `path` whose names are among `names`; other arrays are not read.

    Nothing is unpickled, and no array is unpacked that is larger than its header, its archive entry and the file's own
    size allow. Raises DataError with a sentence when the file is missing, damaged, a bomb, or no npz.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path)
            wanted = {name: entries[f"{name}.npy"] for name in names if f"{name}.npy" in entries}
            _refuse_bomb(sum(entry.file_size for entry in wanted.values()), path)
            return {name: _read(archive, entry, path) for name, entry in wanted.items()}
    except OSError as error:
        raise DataError(f"The data file {path} cannot be read: {error.strerror or error}.") from None
    except MemoryError:
        raise DataError(f"The data file {path} holds arrays that do not fit in memory.") from None
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise whatever they meet in a damaged file
        reason = next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__
        raise DataError(f"The data file {path} is damaged or not an npz file: {reason}.") from None


def array_names(path: Path) -> tuple[str, ...]:
    """Names of the arrays of `path`; raises DataError when it is missing, damaged or no npz."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in _entries(archive, path) if name.endswith(".npy"))
    except OSError as error:
        raise DataError(f"The data file {path} cannot be read: {error.strerror or error}.") from None
    except DataError:
        raise
    except Exception as error:  # zipfile raises whatever it meets in a damaged file
        reason = next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__
        raise DataError(f"The data file {path} is damaged or not an npz file: {reason}.") from None


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    listed = archive.infolist()
    if len(listed) > _MAX_MEMBERS:
        raise DataError(f"The data file {path} has {len(listed):,} entries; a data file has a few arrays.")
    entries = {entry.filename: entry for entry in listed}
    if len(entries) < len(listed):
        raise DataError(f"The data file {path} has two entries of the same name.")
    return entries


def _refuse_bomb(unpacked: int, path: Path) -> None:
    allowed = min(_MAX_BYTES, _MAX_UNPACK_RATIO * path.stat().st_size + _SLACK_BYTES)
    if unpacked > allowed:
        raise DataError(
            f"The data file {path} would unpack to {unpacked:,} bytes, more than the {allowed:,} that a file of its "
            "size may, and was not opened."
        )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> NDArray[np.generic]:
    name = entry.filename.removesuffix(".npy")
    if entry.compress_type not in _METHODS or entry.flag_bits & 1:
        raise DataError(f"The data file {path} stores {name} encrypted or in a way that numpy does not write.")
    with archive.open(entry) as file:
        shape, dtype, header = _header(file)
    if dtype.hasobject:
        raise DataError(f"The data file {path} stores {name} as Python objects, which are not opened; store numbers.")
    if header + prod(shape) * dtype.itemsize != entry.file_size:
        raise DataError(
            f"The data file {path} says that {name} is {dtype} of shape {shape}, which {entry.file_size:,} bytes "
            "cannot hold."
        )
    with archive.open(entry) as file:
        array = npy.read_array(file, allow_pickle=False)
        with suppress(EOFError):
            file.read(1)  # reading on to the end is what checks the checksum
    return np.asarray(array, array.dtype.newbyteorder("="))  # torch knows this machine's byte order only


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    """Shape, dtype, and bytes before the data."""
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    else:
        shape, _, dtype = npy.read_array_header_2_0(file)
    if any(side < 0 for side in shape):
        raise ValueError(f"an array of shape {shape}")
    return shape, dtype, file.tell()
