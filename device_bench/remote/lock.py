"""Lock of a device: one measurement at a time, made atomically, released when its owner is gone.

The lock is a symbolic link whose target is its text, ``TOKEN.BOOT.UNTIL``: making it is atomic and writes its content
in the same step. ``UNTIL`` is seconds since the device started, so a clock that jumps does not matter; ``BOOT`` names
the start, so a lock from before a restart is void. What a run leaves that lost its device in the middle (its lock, its
folder, half a file) is removed by the next one from the same machine: it remembers whose lock it could not give back.
"""

from __future__ import annotations

import fcntl
import re
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from device_bench.emulation import prepare
from device_bench.errors import DeviceBenchError, DeviceUnavailableError
from device_bench.remote.hello import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from device_bench.remote.hello import Hello
    from device_bench.remote.transport import Transport

_TEXT = re.compile(r"[0-9a-f]{16}\.([0-9a-f-]{36})\.(\d{1,12})")
_TAKE = """ln -sn "$2" "$1/lock" || { readlink "$1/lock"; exit 75; }
rm -rf "$1"/runs/*
rm -f "$1"/objects/*.????????????????
mkdir "$1/runs/$3" || { rm -f "$1/lock"; exit 73; }
"""
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
            raise DeviceUnavailableError(
                f"{device.base} on {transport.name} is not writable: {taken.errors.strip()[-200:]}."
            )
        if (left := _seconds_left(holder, device)) is not None and not _is_orphan(holder):
            raise DeviceUnavailableError(
                f"{transport.name} is in use by another run, for {left} s more at most; try again after it."
            )
        transport.run(["sh", "-c", _BREAK, "sh", device.base, holder], TIMEOUT_S)
    else:
        raise DeviceUnavailableError(f"{transport.name} is in use by several other runs; try again after them.")
    note = _note(text)
    with _held(note):
        try:
            yield token
        finally:
            with suppress(DeviceBenchError):  # unplugged: the note stays, for whoever finds the lock
                if transport.run(["sh", "-c", _DROP, "sh", device.base, text, token], TIMEOUT_S).code == 0:
                    note.unlink(missing_ok=True)


def _note(text: str) -> Path:
    """The file on this machine which says that a run here took the lock ``text``."""
    return prepare.cache_folder() / "locks" / text


@contextmanager
def _held(note: Path) -> Iterator[None]:
    """Hold the note, as only a process that lives can."""
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_orphan(text: str) -> bool:
    """Whether a run of this machine took the lock and lives no longer, or has given up the device."""
    note = _note(text)
    if not _TEXT.fullmatch(text) or not note.is_file():
        return False
    with note.open("r", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
    note.unlink(missing_ok=True)
    return True


def _seconds_left(holder: str, now: Hello) -> int | None:
    """For how long the lock's text still binds, None if it does not (or is no text of ours)."""
    found = _TEXT.fullmatch(holder)
    if not found or found[1] != now.boot or int(found[2]) <= now.uptime_s:
        return None
    return int(found[2]) - now.uptime_s
