"""`chita-edge devices`: list the devices to measure on."""

from __future__ import annotations

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@json_option
def devices(as_json: bool) -> None:
    """List the devices that can be measured from here, and why the others cannot."""
    from chita_edge.report.devices_table import device_rows, print_devices

    rows = device_rows()
    if as_json:
        print_json(rows)
    else:
        print_devices(rows)
