"""Devices by name: ``kind`` or ``kind:address``. A device is one module with a `DeviceKind`, and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device_bench.devices import adb, emulated, estimated, local, ssh
from device_bench.devices.base import Availability, Device, DeviceKind, KnownDevice
from device_bench.errors import UnknownDeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: Final[tuple[DeviceKind, ...]] = (local.KIND, emulated.KIND, estimated.KIND, ssh.KIND, adb.KIND)
DEVICES: Final[dict[str, Callable[[str], Device]]] = {kind.name: kind.make for kind in KINDS}


def get_device(name: str) -> Device:
    """The device called ``name``, such as ``local``. UnknownDeviceError if there is no such kind."""
    kind, _, address = name.partition(":")
    if kind not in DEVICES:
        raise UnknownDeviceError(f"There is no device {name!r:.80}; the kinds are {', '.join(DEVICES)}.")
    return DEVICES[kind](address)


def known_devices() -> list[KnownDevice]:
    """Every device that can be named from here, kind by kind; nothing is started and no host is contacted."""
    return [row for kind in KINDS for row in kind.known()]


__all__ = ["DEVICES", "KINDS", "Availability", "Device", "DeviceKind", "KnownDevice", "get_device", "known_devices"]
