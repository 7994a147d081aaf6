"""Linux phones, wearables and boards by ssh, with the user's own configuration and keys.

``CHITA_EDGE_SSH`` replaces the command ``ssh`` (for example ``ssh -F other_config``). Nothing is ever asked for: a host
that wants a password is not reachable.
"""

from __future__ import annotations

import os
import re
import shlex

from device_bench.devices.base import DeviceKind, KnownDevice
from device_bench.devices.shell import ShellDevice
from device_bench.errors import UnknownDeviceError
from device_bench.remote.transport import Transport

_LOST = 255  # ssh's own exit code for its own failures


def ssh_device(address: str) -> ShellDevice:
    """The device ``ssh:ADDRESS``; the address is what ssh takes, such as ``pi@10.0.0.7``, and an optional ``:port``."""
    found = re.fullmatch(r"((?:[\w.+-]+@)?[A-Za-z0-9_][\w.%-]*)(?::(\d{1,5}))?", address)
    if not found:
        raise UnknownDeviceError(f"'ssh:{address:.80}' names no host; write for example ssh:pi@10.0.0.7.")
    program = shlex.split(os.environ.get("CHITA_EDGE_SSH", "ssh"))
    options = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10"]
    port = ["-p", found[2]] if found[2] else []
    return ShellDevice(
        Transport(
            f"ssh:{address}",
            (*program, *options, *port, "--", found[1]),
            ".cache/chita-edge",  # below the home folder, where the shell begins
            lambda code, _: code == _LOST,
        )
    )


_HINT = "name a host, as in ssh:user@host; no host is contacted before one is named"
KIND = DeviceKind("ssh", ssh_device, lambda: [KnownDevice("ssh:…", None, _HINT)])
