"""A real adbd and the real adb in a network of their own: adbd is an open root shell, for nobody else to see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import arm64_device
import pytest

import runtimes
from device_bench import BenchPlan, Measurement, ModelUnderTest
from device_bench.devices import get_device
from device_bench.devices.shell import ShellDevice
from device_bench.errors import DeviceUnavailableError, MeasurementError, UnknownDeviceError
from runtimes.toolchain import build_program

PLAN = BenchPlan(samples=30, warmup_rounds=10, time_limit_s=60.0)
SERIAL = "127.0.0.1:5555"
LIST = """
from device_bench.devices.adb_server import listed
from device_bench.errors import DeviceUnavailableError
for _ in range(2):  # asking starts no server, so it finds the same again
    try:
        print("\\n".join(f"{one.serial}: {one.reachable}, {one.detail}" for one in listed()))
    except DeviceUnavailableError as error:
        print(error)
"""
START = """
ip link set lo up && mount -t tmpfs -o size=64m none "$1" && echo ready || exit 1
LD_PRELOAD="$2" "$3" >/dev/null 2>&1 &
exec sleep 600
"""


@dataclass(frozen=True)
class Phone:
    device: ShellDevice
    inside: tuple[str, ...]
    disk: Path
    adb: tuple[str, ...]

    def run(self, *words: str) -> str:
        return subprocess.run([*self.inside, *words], capture_output=True, text=True, check=False).stdout

    def listed(self) -> list[str]:
        """What a process in there is told of the devices; adb takes a daemon at this port for an emulator as well."""
        told = self.run("env", f"PYTHONPATH={os.pathsep.join(sys.path)}", sys.executable, "-c", LIST)
        return [line for line in sorted(set(told.splitlines())) if not line.startswith("emulator-")]

    def daemons(self) -> list[int]:
        namespace = Path(f"/proc/{self.inside[2]}/ns/net").readlink()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "comm").read_text() == "adbd\n" and (entry / "ns/net").readlink() == namespace:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    adbd, adb = shutil.which("adbd", path=os.environ.get("PATH", "") + ":/usr/sbin"), shutil.which("adb")
    if not adbd or not adb or not shutil.which("ip"):
        pytest.skip("there is no adb, adbd or ip here: apt-get install -t bookworm-backports adb adbd iproute2")
    (tmp_path / "novsock.c").write_text(arm64_device.NO_VSOCK)
    preload = build_program(
        runtimes.host_platform(), [tmp_path / "novsock.c"], tmp_path / "novsock.so", ("-shared", "-fPIC")
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    isolated = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen(
        [*isolated, "sh", "-c", START, "sh", str(disk), str(preload), adbd],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            pytest.skip("a private network namespace needs root: run the tests as root, or in a container")
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        inside = ("nsenter", "-t", child, "-m", "-n", "-p")
        home = f"HOME={tmp_path}"
        for _ in range(50):
            connect = [*inside, "env", home, adb, "connect", SERIAL]
            if "connected" in subprocess.run(connect, capture_output=True, text=True, check=False).stdout:
                break
        monkeypatch.setenv("CHITA_EDGE_ADB", " ".join([*inside, "env", home, adb]))
        device = get_device(f"adb:{SERIAL}")
        assert isinstance(device, ShellDevice)
        device = replace(device, transport=replace(device.transport, base=f"{disk}/chita-edge"))
        yield Phone(device, inside, disk, ("env", home, adb))
    finally:
        if process.poll() is None:
            # The first process of the namespace takes all others with it: adbd, and the server that adb left there.
            os.kill(
                int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]), signal.SIGKILL
            )
        process.wait(10)
        process.stdout.close()


def test_probe_measure_and_faults(phone: Phone, models: dict[str, ModelUnderTest]) -> None:
    """In one go, because starting the daemon is what takes long."""
    availability = phone.device.probe()
    assert availability.reachable, availability.detail
    assert phone.listed() == [f"{SERIAL}: True, behind adb"]

    measurement = phone.device.measure(models, PLAN)
    assert len(measurement.results.benchmark("dense").samples) == 30
    left = phone.run("find", str(phone.disk), "-mindepth", "2").split()
    assert {Path(path).parent.name for path in left} == {"chita-edge", "objects"}

    phone.run("mount", "-o", "remount,noexec", str(phone.disk))
    kept: list[Measurement] = []
    with pytest.raises(MeasurementError, match="does not execute the runner"):
        phone.device.measure(models, PLAN)
    phone.run("mount", "-o", "remount,exec", str(phone.disk))

    for process in phone.daemons():
        os.kill(process, signal.SIGSTOP)
    phone.run(*phone.adb, "disconnect", SERIAL)
    phone.run("timeout", "0.5", *phone.adb, "connect", SERIAL)
    assert phone.listed() == [f"{SERIAL}: False, offline: it does not answer; plug it in again, or `adb reconnect`"]
    for process in phone.daemons():
        os.kill(process, signal.SIGCONT)
    phone.run(*phone.adb, "disconnect", SERIAL)
    phone.run(*phone.adb, "connect", SERIAL)
    killed: list[int] = []

    def unplug(_share: float) -> None:
        if not killed:
            killed.extend(phone.daemons())
            for process in killed:
                os.kill(process, signal.SIGKILL)

    long = BenchPlan(samples=10, duration_s=120.0, warmup_rounds=2, time_limit_s=150.0)
    with pytest.raises((DeviceUnavailableError, MeasurementError), match="rounds had been measured"):
        phone.device.measure(models, long, unplug, kept.append)
    assert killed
    assert len(kept) == 1
    availability = phone.device.probe()
    assert not availability.reachable
    assert "cannot be reached" in availability.detail
    phone.run(*phone.adb, "kill-server")
    assert phone.listed() == ["No adb server runs at 127.0.0.1:5037; `adb start-server` starts one."]


def test_names_that_are_no_serials(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "-s", "a b", "x;reboot", "$(x)"):
        with pytest.raises(UnknownDeviceError, match="names no device"):
            get_device(f"adb:{address}")
    monkeypatch.delenv("CHITA_EDGE_ADB", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(__import__("sys").modules, "adbutils", None)
    with pytest.raises(DeviceUnavailableError, match="pip install adbutils"):
        get_device("adb:emulator-5554")
