"""Android phones, and whatever else runs adbd.

The program ``adb`` is the one on PATH, or the one that the Python package adbutils brings; ``CHITA_EDGE_ADB`` replaces
it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil

from device_bench.devices.adb_server import listed
from device_bench.devices.base import DeviceKind, KnownDevice
from device_bench.devices.shell import ShellDevice
from device_bench.errors import DeviceUnavailableError, UnknownDeviceError
from device_bench.remote.transport import Transport

_BASE = "/data/local/tmp/chita-edge"  # where Android lets a shell write and execute
_LOST = re.compile(r"^(error|adb): .*(device|offline|unauthorized|closed|connect|protocol)|no devices", re.MULTILINE)


def adb_device(address: str) -> ShellDevice:
    """The device ``adb:SERIAL``, a serial as ``adb devices`` lists it."""
    if not re.fullmatch(r"[A-Za-z0-9_][\w.:-]{0,200}", address):
        raise UnknownDeviceError(f"'adb:{address:.80}' names no device; write adb:SERIAL as `adb devices` lists it.")
    return ShellDevice(Transport(f"adb:{address}", (*_program(), "-s", address, "shell", "-T"), _BASE, _is_lost))


def _is_lost(code: int, errors: str) -> bool:
    return code != 0 and bool(_LOST.search(errors))


def _program() -> tuple[str, ...]:
    if given := os.environ.get("CHITA_EDGE_ADB"):
        return tuple(shlex.split(given))
    if found := shutil.which("adb"):
        return (found,)
    try:
        from adbutils import adb_path  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise DeviceUnavailableError("There is no adb here; `pip install adbutils` brings one.") from None
    return (str(adb_path()),)


def _known() -> list[KnownDevice]:
    """Devices of the adb server, if one runs: none is started for a list."""
    try:
        found = listed()
    except DeviceUnavailableError as error:
        return [KnownDevice("adb:…", False, str(error))]
    rows = [KnownDevice(f"adb:{one.serial}", one.reachable, one.detail) for one in found]
    return rows or [KnownDevice("adb:…", None, "name a serial number, as in adb:SERIAL; the adb server knows of none")]


KIND = DeviceKind("adb", adb_device, _known)
