"""A real arm64 adbd on loopback in a network of its own, the real adb, and faults that are provoked for real."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import replace

import pytest
from arm64_device import Machine

from device_bench import BenchPlan, Measurement, ModelUnderTest
from device_bench.devices import get_device
from device_bench.devices.shell import ShellDevice
from device_bench.errors import DeviceUnavailableError, MeasurementError, PlanError
from device_bench.remote import files

Models = dict[str, ModelUnderTest]
SERIAL = "127.0.0.1:5555"
BASE = "/data/chita-edge"
PLAN = BenchPlan(samples=10, warmup_rounds=2, time_limit_s=120.0)
LONG = BenchPlan(samples=10, duration_s=300.0, warmup_rounds=2, time_limit_s=400.0)


def plug_in(board: Machine, device: ShellDevice, adb: list[str]) -> None:
    """Start the daemon unless it runs, and wait until it answers."""
    if not board.processes("adbd"):
        board.start("/usr/bin/env", "LD_PRELOAD=/mnt/novsock.so", "/usr/sbin/adbd")
    for _ in range(100):
        subprocess.run([*adb, "connect", SERIAL], capture_output=True, check=False)
        found = device.probe()
        if found.reachable:
            return
        time.sleep(0.1)
    pytest.fail(f"{found.detail} {(board.config / 'daemon.log').read_text()[-500:]}")


@pytest.fixture
def adb(board: Machine) -> list[str]:
    found = shutil.which("adb")
    if not found:
        pytest.skip("there is no adb here: apt-get install -t bookworm-backports adb")
    return [*board.beside, "env", f"HOME={board.config}", found]


@pytest.fixture
def device(board: Machine, adb: list[str], monkeypatch: pytest.MonkeyPatch) -> ShellDevice:
    monkeypatch.setenv("CHITA_EDGE_ADB", " ".join(adb))
    found = get_device(f"adb:{SERIAL}")
    assert isinstance(found, ShellDevice)
    plug_in(board, found, adb)
    return replace(found, transport=replace(found.transport, base=BASE))


def test_measures_on_arm64_and_pushes_nothing_twice(device: ShellDevice, board: Machine, models: Models) -> None:
    measurement = device.measure(models, PLAN)
    assert len(measurement.results.benchmark("dense").samples) == 10
    assert measurement.results.context.cpu == "aarch64 implementer 0x41 part 0xd03"
    before = board.run("ls", "-i", f"{BASE}/objects")
    device.measure(models, PLAN)
    assert board.run("ls", "-i", f"{BASE}/objects") == before
    assert board.run("ls", f"{BASE}/runs") == ""


def test_unplugged_in_the_middle_of_a_run(device: ShellDevice, board: Machine, adb: list[str], models: Models) -> None:
    killed: list[int] = []

    def unplug(_share: float) -> None:
        if not killed:
            killed.extend(board.kill("adbd"))

    kept: list[Measurement] = []
    with pytest.raises((DeviceUnavailableError, MeasurementError), match="rounds had been measured"):
        device.measure(models, LONG, unplug, kept.append)
    assert len(kept) == 1
    assert not device.probe().reachable
    plug_in(board, device, adb)
    device.measure(models, PLAN)


def test_a_full_disk(device: ShellDevice, board: Machine, models: Models) -> None:
    """Another folder, on a disk with 3 MiB left; what is stored elsewhere stays, for the other tests."""
    board.run("sh", "-c", "dd if=/dev/zero of=/data/filler bs=1M 2>/dev/null; truncate -s -3M /data/filler")
    device = replace(device, transport=replace(device.transport, base="/data/full"))
    try:
        with pytest.raises(DeviceUnavailableError, match="No space left on device"):
            device.measure(models, PLAN)
        stored = board.run("ls", "/data/full/objects").split()
        assert stored  # what had fitted is kept, whole
        assert all("." not in name for name in stored)
    finally:
        board.run("rm", "-rf", "/data/filler", "/data/full")


def test_no_permission_to_execute(device: ShellDevice, board: Machine, models: Models) -> None:
    """A file system without programs, then programs without their execute bit; both are told, neither is fatal."""
    board.mount("-o", "remount,noexec", "{root}/data")
    with pytest.raises(MeasurementError, match=r"does not execute the runner .*Permission denied"):
        device.measure(models, PLAN)
    board.mount("-o", "remount,exec", "{root}/data")
    board.run("sh", "-c", f"chmod 644 {BASE}/objects/*")
    with pytest.raises(MeasurementError, match=f"their execute bit is gone.* remove {BASE} there"):
        device.measure(models, PLAN)
    board.run("sh", "-c", f"chmod 755 {BASE}/objects/*")


def test_a_library_for_another_kind_of_machine(
    device: ShellDevice, board: Machine, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before anything is pushed; a device that is given one all the same says what is wrong with it."""
    foreign = files.onnxruntime("linux-x86_64")
    with pytest.raises(PlanError, match="is no library for linux-aarch64"):
        device.measure(models, replace(PLAN, ort=foreign))
    monkeypatch.setattr(files, "onnxruntime", lambda *_: foreign)
    with pytest.raises(MeasurementError, match="cannot load ONNX Runtime"):
        device.measure(models, PLAN)
