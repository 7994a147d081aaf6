"""The list that `chita-edge devices` prints."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from chita_edge.report.terminal import data_console
from device_bench.devices import get_device
from device_bench.devices.adb_server import listed
from device_bench.emulation import CPUS
from device_bench.errors import DeviceUnavailableError
from device_bench.estimate import CORES

_SSH = "name a host, as in ssh:user@host; no host is contacted before one is named"
_ADB = "name a serial number, as in adb:SERIAL; the adb server knows of none"


def device_rows() -> list[dict[str, Any]]:
    """One JSON-ready object a device: its name, whether it can be used (None: depends on the address), and details."""
    rows: list[dict[str, Any]] = []
    known = ["local", *(f"emulated:{cpu}" for cpu in CPUS), *(f"estimate:{core}" for core in CORES)]
    for name in known:
        found = get_device(name).probe()
        rows.append({"device": name, "reachable": found.reachable, "detail": found.detail})
    rows.append({"device": "ssh:…", "reachable": None, "detail": _SSH})
    return rows + _adb_rows()


def _adb_rows() -> list[dict[str, Any]]:
    """Devices of the adb server, if one runs: none is started for a list."""
    try:
        found = listed()
    except DeviceUnavailableError as error:
        return [{"device": "adb:…", "reachable": False, "detail": str(error)}]
    rows = [{"device": f"adb:{one.serial}", "reachable": one.reachable, "detail": one.detail} for one in found]
    return rows or [{"device": "adb:…", "reachable": None, "detail": _ADB}]


def print_devices(rows: list[dict[str, Any]]) -> None:
    """Print the devices as a table on standard output."""
    table = Table()
    for heading in ("device", "reachable", ""):
        table.add_column(heading)
    words = {True: "yes", False: "no", None: "with an address"}
    for row in rows:
        table.add_row(row["device"], words[row["reachable"]], Text(row["detail"]))
    data_console().print(table)
