"""What an adb server answers, and what is no adb server; test_adb.py asks a real one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from chita_edge.report.devices_table import device_rows
from device_bench.devices.adb_server import Listed, listed
from device_bench.errors import DeviceUnavailableError

ANSWER = """\
R5CT1234567            device product:o1s model:SM_G991B device:o1s transport_id:1
emulator-5554          offline transport_id:2
0a388e93               unauthorized usb:1-1 transport_id:3
????????????           no permissions (user in plugdev group; are your udev rules wrong?); see [http://x] usb:1-2
ABC                    melting\x1b[31m transport_id:5
"""

Server = Callable[[bytes], None]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Gives one answer to whoever asks next."""

    def start(answer: bytes) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:127.0.0.1:{listening.getsockname()[1]}")

        def serve() -> None:
            with listening, listening.accept()[0] as connection:
                assert connection.recv(18) == b"000ehost:devices-l"
                connection.sendall(answer)

        threading.Thread(target=serve).start()

    return start


def answer(text: str) -> bytes:
    return b"OKAY%04x" % len(text.encode()) + text.encode()


def test_every_serial_with_why_it_cannot_be_used(server: Server) -> None:
    server(answer(ANSWER))
    found = listed()
    assert [one.serial for one in found] == ["R5CT1234567", "emulator-5554", "0a388e93", "????????????", "ABC"]
    assert found[0] == Listed("R5CT1234567", True, "SM G991B behind adb")
    assert [one.reachable for one in found[1:]] == [False] * 4
    for one, word in zip(
        found[1:], ("offline", "allow this computer", "no permissions", "its state is 'melting"), strict=True
    ):
        assert word in one.detail
    assert "\x1b" not in found[4].detail


def test_the_list_of_devices_holds_them(server: Server) -> None:
    server(answer(ANSWER))
    rows = {row["device"]: row for row in device_rows()}
    assert rows["adb:R5CT1234567"]["reachable"] is True
    assert rows["adb:0a388e93"]["reachable"] is False
    assert "adb:…" not in rows
    server(answer(""))
    (row,) = (row for row in device_rows() if row["device"].startswith("adb"))
    assert (row["reachable"], "knows of none" in row["detail"]) == (None, True)


@pytest.mark.parametrize("reply", [b"FAIL0004nope", b"OKAYzzzz", b"HTTP/1.1 400 Bad Request\r\n"])
def test_what_is_no_adb_server(server: Server, reply: bytes) -> None:
    server(reply)
    with pytest.raises(DeviceUnavailableError, match="is no adb server"):
        listed()


def test_an_answer_that_breaks_off(server: Server) -> None:
    server(b"OKAY0100abc")
    with pytest.raises(DeviceUnavailableError, match="does not answer"):
        listed()


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    with pytest.raises(DeviceUnavailableError, match=f"No adb server runs at 127.0.0.1:{port}; `adb start-server`"):
        listed()
    (row,) = (row for row in device_rows() if row["device"].startswith("adb"))
    assert (row["reachable"], row["device"]) == (False, "adb:…")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "99999")
    with pytest.raises(DeviceUnavailableError, match="no port"):
        listed()
