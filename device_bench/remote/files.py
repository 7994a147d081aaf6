"""The files that a run needs on a device of one platform: the runner, ONNX Runtime, the kernel library."""

from __future__ import annotations

import struct
import sys
import tempfile
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import runtimes
from device_bench.android import PLATFORM as ANDROID
from device_bench.emulation import prepare
from device_bench.emulation.runner import runner_program
from device_bench.errors import DeviceUnavailableError, PlanError
from runtimes import platforms

# What the zip reader raises: a missing member, damage, encryption, a method that it does not know, sizes that lie.
_NO_ZIP: Final = (KeyError, zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError)
_MAX_AAR_BYTES = 1 << 30
_MAX_LIBRARY_BYTES = 200 << 20


def platform_of(machine: str, programs: int | None = None, android: bool = False) -> str:
    """The platform of a machine that ``uname -m`` calls so. DeviceUnavailableError if there are no kernels for it.

    ``programs`` is the ELF number of its own programs: a shell would take a program for another kind for a script.
    """
    found = platforms.platform_of(machine)
    if found is None or found.library is None:
        raise DeviceUnavailableError(f"There are no kernels for a machine of kind {machine!r:.40}.")
    if programs not in (None, found.elf_machine):
        raise DeviceUnavailableError(
            f"The device calls itself {machine} and runs programs of another kind (ELF machine {programs}), as a "
            "64-bit kernel with 32-bit programs does; there are no kernels for those."
        )
    if not android:
        return found.name
    if platforms.platform_of(machine, "android") is None:
        raise DeviceUnavailableError(f"There is a runner for Android on 64-bit Arm only, not on {machine}.")
    return ANDROID


def runner(platform: str) -> Path:
    """The native runner for ``platform``, compiled if need be."""
    return runner_program(platform=platform)


def kernel_library(platform: str) -> Path:
    """The kernel library of this installation for ``platform``; it needs no C library, so Android loads Linux's."""
    return runtimes.library(platforms.ALL_PLATFORMS[platform].library)


def onnxruntime(platform: str, given: Path | None = None) -> Path:
    """ONNX Runtime's library for ``platform``: out of ``given`` (an AAR, or the library), or of the version used here.

    PlanError if ``given`` does not hold it; DeviceUnavailableError if there is none for the platform.
    """
    if given is not None:
        return _for(platform, _out_of_aar(given, platform) if given.suffix == ".aar" else _checked(given))
    if platform == runtimes.host_platform():
        package = find_spec("onnxruntime")
        folder = Path(package.origin).parent / "capi" if package and package.origin else Path(sys.prefix)
        if found := sorted(folder.glob("libonnxruntime.so.*")):
            return found[0]
    if platform == "linux-aarch64":
        return prepare.onnxruntime_library()
    if platform == ANDROID:
        raise PlanError("ONNX Runtime for Android comes from the app: give its AAR or libonnxruntime.so with --ort.")
    raise DeviceUnavailableError(f"There is no ONNX Runtime for {platform} here; give one with --ort.")


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise PlanError(f"{path} is not a file; give the AAR or the libonnxruntime.so that the app uses.")
    return path


def _for(platform: str, library: Path) -> Path:
    """The library, checked by its first bytes to be one for the platform."""
    with library.open("rb") as file:
        head = file.read(20)
    if (
        len(head) < 20
        or head[:6] != b"\x7fELF\x02\x01"
        or struct.unpack_from("<H", head, 18)[0] != platforms.ALL_PLATFORMS[platform].elf_machine
    ):
        raise PlanError(f"{library} is no library for {platform}; give the one that the app uses there.")
    return library


def _out_of_aar(aar: Path, platform: str) -> Path:
    """Unpack the one library from an AAR into the cache, under a name that follows from its content."""
    from device_bench.sampling.context import file_sha256

    member = f"jni/{platforms.ALL_PLATFORMS[platform].abi}/libonnxruntime.so"
    target = prepare.cache_folder() / f"libonnxruntime-{file_sha256(_checked(aar))[:16]}-{platform}.so"
    if target.is_file():
        return target
    try:
        if aar.stat().st_size > _MAX_AAR_BYTES:
            raise PlanError(f"{aar} is too large to be an AAR.")
        with zipfile.ZipFile(aar) as archive:
            if archive.getinfo(member).file_size > _MAX_LIBRARY_BYTES:
                raise PlanError(f"{member} in {aar} is too large to be a library.")
            data = archive.read(member)
    except _NO_ZIP as error:
        raise PlanError(f"{aar} is not an AAR that holds {member}.") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as folder:
        unpacked = Path(folder, target.name)
        unpacked.write_bytes(data)
        return unpacked.replace(target)
