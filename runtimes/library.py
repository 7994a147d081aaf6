"""Where the kernel library is, and what it finds on this machine."""

import ctypes
import functools
import platform as host
from pathlib import Path

from runtimes import checkout
from runtimes.errors import LibraryMissingError

PLATFORMS = ("linux-x86_64", "linux-aarch64")
FILE_NAME = "libchita_edge.so"
_FOLDER = Path(__file__).parent / "_lib"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def host_platform() -> str:
    """The platform of this machine, spelled as in `PLATFORMS`, for example "linux-x86_64"."""
    machine = host.machine().lower()
    return f"{host.system().lower()}-{_MACHINES.get(machine, machine)}"


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


_ISA_NAMES = {
    0: "reference",
    1: "sse2",
    2: "avx2",
    3: "avx512",
    8: "neon",
    9: "neon_inorder",
    10: "neon_fp16",
}


@functools.cache
def _usable() -> tuple[str, ...]:
    usable = _loaded().ce_usable_isas()
    return tuple(name for isa, name in _ISA_NAMES.items() if usable >> isa & 1)


def host_isa() -> str:
    """The best instruction set that both this processor and the library have, such as "avx2" or "neon".

    Raises:
        LibraryMissingError: this machine has no kernel library.

    """
    return _usable()[-1]


def isas() -> tuple[str, ...]:
    """The instruction sets that kernels can be limited to on this machine, the best one last."""
    return _usable()
