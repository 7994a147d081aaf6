"""The list that `chita-edge devices` prints."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from chita_edge.report.terminal import data_console
from device_bench.devices import DEVICES, get_device

# Devices that are there without a name of the user's.
_KNOWN = ("local", "emulated:cortex-a53", "emulated:cortex-a76", "estimate:cortex-a53", "estimate:cortex-a76")
_ADDRESSED = {
    "ssh": "name a host, as in ssh:user@host",
    "adb": "name a serial number, as in adb:SERIAL (`adb devices` lists them)",
}


def device_rows() -> list[dict[str, Any]]:
    """One JSON-ready object a device: its name, whether it can be used (None: depends on the address), and details."""
    rows: list[dict[str, Any]] = []
    for name in _KNOWN:
        found = get_device(name).probe()
        rows.append({"device": name, "reachable": found.reachable, "detail": found.detail})
    addressed = [kind for kind in DEVICES if kind in _ADDRESSED]
    return rows + [{"device": f"{kind}:…", "reachable": None, "detail": _ADDRESSED[kind]} for kind in addressed]


def print_devices(rows: list[dict[str, Any]]) -> None:
    """Print the devices as a table on standard output."""
    table = Table()
    for heading in ("device", "reachable", ""):
        table.add_column(heading)
    words = {True: "yes", False: "no", None: "with an address"}
    for row in rows:
        table.add_row(row["device"], words[row["reachable"]], Text(row["detail"]))
    data_console().print(table)
