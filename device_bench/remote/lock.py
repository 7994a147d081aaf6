"""One measurement at a time on a device: a lock that is made in one step and outlives nobody.

The lock is a symbolic link whose target is its text, ``TOKEN.BOOT.UNTIL``: making it is atomic and writes its content
in the same step. ``UNTIL`` is seconds since the device started, so a clock that jumps does not matter; ``BOOT`` names
the start, so a lock from before a restart is void.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from device_bench.errors import DeviceBenchError, DeviceUnavailableError
from device_bench.remote.hello import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device_bench.remote.hello import Hello
    from device_bench.remote.transport import Transport

_TAKE = '{ ln -sn "$2" "$1/lock" 2>/dev/null && mkdir "$1/runs/$3"; } || { readlink "$1/lock"; exit 75; }'
_BREAK = 'test "$(readlink "$1/lock")" = "$2" && rm -f "$1/lock"'
_DROP = 'rm -rf "$1/runs/$3"; test "$(readlink "$1/lock")" = "$2" && rm -f "$1/lock"'


@contextmanager
def locked(transport: Transport, device: Hello, limit_s: float) -> Iterator[str]:
    """Hold the device for at most ``limit_s``, and give the token of this run, which has a folder ``runs/TOKEN``.

    The folder is removed afterwards. DeviceUnavailableError if another run holds the device, or if its folder cannot be
    written.
    """
    token = secrets.token_hex(8)
    text = f"{token}.{device.boot}.{device.uptime_s + int(limit_s) + 60}"
    for _ in range(3):
        taken = transport.run(["sh", "-c", _TAKE, "sh", device.base, text, token], TIMEOUT_S)
        if taken.code == 0:
            break
        holder = taken.output.strip()
        if not holder or taken.code != 75:
            raise DeviceUnavailableError(f"{device.base} on {transport.name} is not writable: {taken.errors.strip()}.")
        if (left := _seconds_left(holder, device)) is not None and holder != text:
            raise DeviceUnavailableError(
                f"{transport.name} is in use by another run, for {left} s more at most; try again after it."
            )
        transport.run(["sh", "-c", _BREAK, "sh", device.base, holder], TIMEOUT_S)
    else:
        raise DeviceUnavailableError(f"{transport.name} is in use by several other runs; try again after them.")
    try:
        yield token
    finally:
        with suppress(DeviceBenchError):  # unplugged: the lock ends by itself
            transport.run(["sh", "-c", _DROP, "sh", device.base, text, token], TIMEOUT_S)


def _seconds_left(holder: str, now: Hello) -> int | None:
    """For how long the lock's text still binds, None if it does not (or is no text of ours)."""
    found = re.fullmatch(r"[0-9a-f]{16}\.([0-9a-f-]{36})\.(\d{1,12})", holder)
    if not found or found[1] != now.boot or int(found[2]) <= now.uptime_s:
        return None
    return int(found[2]) - now.uptime_s
