"""Location of the kernel library, and the instruction sets that it can use here."""

import ctypes
import functools
from pathlib import Path

from runtimes import checkout, platforms
from runtimes.errors import LibraryMissingError
from runtimes.platforms import FILE_NAME, PLATFORMS, host_platform

_FOLDER = Path(__file__).parent / "_lib"


def library(platform: str | None = None) -> Path:
    """The kernel library for `platform` (default: this machine's). The aarch64 file also serves Android.

    In a source checkout that has none it is the installed package's, or built now (:mod:`runtimes.checkout`).

    Raises:
        LibraryMissingError: there is none for that platform in this installation.

    """
    wanted = platform or host_platform()
    path = _FOLDER / wanted / FILE_NAME
    if wanted not in PLATFORMS:
        raise LibraryMissingError(
            f"there is no kernel library for {wanted}; there is one for {' and '.join(PLATFORMS)}"
        )
    if not path.is_file() and checkout.is_checkout():
        return checkout.provide(wanted)
    if not path.is_file():
        present = sorted(folder.parent.name for folder in _FOLDER.glob(f"*/{FILE_NAME}"))
        raise LibraryMissingError(
            f"the kernel library for {wanted} is not in this installation (present: {', '.join(present) or 'none'}); "
            "install the package from its wheel"
        )
    return path


@functools.cache
def _loaded() -> ctypes.CDLL:
    path = library()
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise LibraryMissingError(f"the kernel library {path} cannot be loaded: {error}") from error


@functools.cache
def _usable() -> tuple[str, ...]:
    usable = _loaded().ce_usable_isas()
    return tuple(name for name, number in platforms.isas().items() if usable >> number & 1)


def host_isa() -> str:
    """The best instruction set that both this processor and the library have, such as "avx2" or "neon".

    Raises:
        LibraryMissingError: this machine has no kernel library.

    """
    return _usable()[-1]


def isas() -> tuple[str, ...]:
    """The instruction sets that kernels can be limited to on this machine, the best one last."""
    return _usable()
