"""Devices that a running adb server knows. Asked without adb itself.

The program adb (and so adbutils) starts a server if none runs, and ends one of another version: neither is for a list
to do. The question is one line of adb's own protocol (its SERVICES.TXT, ``host:devices-l``).
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import Final

from device_bench.errors import DeviceUnavailableError

_TIMEOUT_S: Final = 3.0
_QUESTION: Final = b"000ehost:devices-l"
_MAX_DEVICES: Final = 100
_WHY_NOT: Final = {
    "unauthorized": "unauthorized: allow this computer on the device's screen",
    "authorizing": "authorizing: it is still being asked whether this computer may",
    "offline": "offline: it does not answer; plug it in again, or `adb reconnect`",
    "connecting": "connecting: ask again in a moment",
    "bootloader": "in its bootloader: start Android on it",
    "recovery": "in recovery: start Android on it",
    "sideload": "in sideload: start Android on it",
    "rescue": "in rescue: start Android on it",
    "no permissions": "no permissions: this user may not open it; see udev rules for Android",
}


@dataclass(frozen=True)
class Listed:
    """One device that the server knows, and why it cannot be used if it cannot."""

    serial: str
    reachable: bool
    detail: str


def listed() -> tuple[Listed, ...]:
    """The devices of the server that runs. DeviceUnavailableError if none runs, or something else answers."""
    host, port = _address()
    where = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.sendall(_QUESTION)
            status, size = _read(connection, 4), _read(connection, 4)
            if status != b"OKAY" or not re.fullmatch(rb"[0-9a-fA-F]{4}", size):
                raise DeviceUnavailableError(f"What answers at {where} is no adb server.")
            answer = _read(connection, int(size, 16)).decode("utf-8", "replace")
    except ConnectionRefusedError as error:
        raise DeviceUnavailableError(f"No adb server runs at {where}; `adb start-server` starts one.") from error
    except (OSError, EOFError) as error:
        raise DeviceUnavailableError(f"The adb server at {where} does not answer ({error}).") from error
    return tuple(_parsed(line) for line in answer.splitlines()[:_MAX_DEVICES] if line.strip())


def _address() -> tuple[str, int]:
    """Address at which adb looks for its server."""
    host = os.environ.get("ANDROID_ADB_SERVER_ADDRESS") or "127.0.0.1"
    port = os.environ.get("ANDROID_ADB_SERVER_PORT") or "5037"
    if found := re.fullmatch(r"tcp:(?:(.+):)?(\d{1,5})", os.environ.get("ADB_SERVER_SOCKET", "")):
        host, port = found[1] or host, found[2]
    if not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise DeviceUnavailableError(f"ANDROID_ADB_SERVER_PORT is {port!r:.20}, which is no port.")
    return host, int(port)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise EOFError("it closed the connection")
        data += chunk
    return data


def _parsed(line: str) -> Listed:
    """One line, such as ``emulator-5554  device product:p model:Pixel_7 device:d transport_id:1``."""
    plain = "".join(character if character.isprintable() else " " for character in line)
    serial, _, told = plain.partition(" ")
    told = told.strip()
    state = next((known for known in ("device", *_WHY_NOT) if re.match(rf"{known}\b", told)), None)
    if state == "device":
        model = re.search(r"\bmodel:(\S{1,80})", told)
        return Listed(serial[:200], True, f"{model[1].replace('_', ' ')} behind adb" if model else "behind adb")
    return Listed(serial[:200], False, _WHY_NOT[state] if state else f"its state is {told[:80]!r}")
