"""Devices by name: ``kind`` or ``kind:address``. A device is one module and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device_bench.devices.adb import adb_device
from device_bench.devices.base import Availability, Device
from device_bench.devices.emulated import EmulatedDevice
from device_bench.devices.estimated import EstimatedDevice
from device_bench.devices.local import LocalDevice
from device_bench.devices.ssh import ssh_device
from device_bench.errors import UnknownDeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEVICES: Final[Mapping[str, Callable[[str], Device]]] = {
    "local": LocalDevice,
    "emulated": EmulatedDevice,
    "estimate": EstimatedDevice,
    "ssh": ssh_device,
    "adb": adb_device,
}


def get_device(name: str) -> Device:
    """The device called ``name``, such as ``local``. UnknownDeviceError if there is no such kind."""
    kind, _, address = name.partition(":")
    if kind not in DEVICES:
        raise UnknownDeviceError(f"There is no device {name!r:.80}; the kinds are {', '.join(DEVICES)}.")
    return DEVICES[kind](address)


__all__ = ["DEVICES", "Availability", "Device", "get_device"]
