"""The list that `chita-edge devices` prints."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from chita_edge.report.terminal import data_console
from device_bench.devices import known_devices


def device_rows() -> list[dict[str, Any]]:
    """One JSON-ready object a device: its name, whether it can be used (None: depends on the address), and details."""
    return [{"device": row.name, "reachable": row.reachable, "detail": row.detail} for row in known_devices()]


def print_devices(rows: list[dict[str, Any]]) -> None:
    """Print the devices as a table on standard output."""
    table = Table()
    for heading in ("device", "reachable", ""):
        table.add_column(heading)
    words = {True: "yes", False: "no", None: "with an address"}
    for row in rows:
        table.add_row(row["device"], words[row["reachable"]], Text(row["detail"]))
    data_console().print(table)
