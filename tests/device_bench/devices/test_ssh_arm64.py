"""A real arm64 sshd on loopback in a network of its own, the real ssh, and faults that are provoked for real."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import arm64_root
import pytest
from arm64_device import Machine

from device_bench import BenchPlan, Measurement, ModelUnderTest
from device_bench.devices import get_device
from device_bench.devices.shell import ShellDevice
from device_bench.errors import DeviceUnavailableError, MeasurementError

Models = dict[str, ModelUnderTest]
BASE = "/data/chita-edge"
PLAN = BenchPlan(samples=10, warmup_rounds=2, time_limit_s=120.0)
LONG = BenchPlan(samples=10, duration_s=300.0, warmup_rounds=2, time_limit_s=400.0)


def plug_in(board: Machine, device: ShellDevice) -> None:
    """Start the daemon unless it runs, and wait until it answers."""
    if not board.processes("sshd"):
        board.start("/usr/sbin/sshd", "-D", "-e", "-f", "/mnt/sshd_config")
    for _ in range(100):
        found = device.probe()
        if found.reachable:
            return
        time.sleep(0.1)
    pytest.fail(f"{found.detail} {(board.config / 'daemon.log').read_text()[-500:]}")


@pytest.fixture
def device(board: Machine, monkeypatch: pytest.MonkeyPatch) -> ShellDevice:
    if not shutil.which("ssh"):
        pytest.skip("there is no ssh here: apt-get install --no-install-recommends openssh-client")
    folder = board.config
    if not (folder / "sshd_config").exists():
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        (folder / "sshd_config").write_text(
            "Port 2222\nListenAddress 127.0.0.1\nHostKey /mnt/host\nAuthorizedKeysFile /mnt/user.pub\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin yes\nPidFile none\nSetEnv QEMU_CPU=cortex-a53\n"
        )
        # One connection is kept open, as many do in their own configuration: a handshake takes a second below qemu.
        (folder / "ssh_config").write_text(
            f"Host board\n  HostName 127.0.0.1\n  Port 2222\n  User root\n  IdentityFile {folder}/user\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
            f"  ControlMaster auto\n  ControlPath {folder}/master\n  ControlPersist 60\n"
        )
    monkeypatch.setenv("CHITA_EDGE_SSH", " ".join([*board.beside, "ssh", "-F", f"{folder}/ssh_config"]))
    found = get_device("ssh:board")
    assert isinstance(found, ShellDevice)
    plug_in(board, found)
    return replace(found, transport=replace(found.transport, base=BASE))


def objects(board: Machine, base: str = BASE) -> set[str]:
    """What is stored there: inode and name, so that a file that was written anew is another one."""
    return {line.strip() for line in board.run("ls", "-i", f"{base}/objects").splitlines()}


def test_measures_on_arm64_and_pushes_nothing_twice(device: ShellDevice, board: Machine, models: Models) -> None:
    plan = replace(PLAN, cores="big", duration_s=2.5, profile=True)
    measurement = device.measure(models, plan)
    context, benchmark = measurement.results.context, measurement.results.benchmark("dense")
    assert len(benchmark.samples) == len(benchmark.timestamps_s) == len(benchmark.frequencies_mhz) >= 10
    assert set(benchmark.frequencies_mhz) == {2400.0}
    count = len(benchmark.samples)
    assert benchmark.temperatures_c == {"thermal_zone0 soc__hot_": (41.5,) * count}
    assert benchmark.battery_percent == (77.0,) * count
    assert len(benchmark.sensors_age_s) == count
    assert (context.cpu, context.affinity, context.governor) == (
        "aarch64 implementer 0x41 part 0xd03",
        (0,),
        "schedutil",
    )
    assert context.meanwhile
    for state in (context.before, context.after, context.meanwhile[0].state):
        assert state is not None
        assert state.frequencies_mhz == (2400.0, 1200.0)
        assert state.temperatures_c == {"thermal_zone0 soc__hot_": 41.5}
        assert (state.battery_percent, state.on_battery) == (77, True)
    assert benchmark.session_ms
    assert benchmark.peak_memory_bytes
    assert [entry.op for entry in benchmark.profile] == ["Relu"]
    assert board.run("ls", BASE).split() == ["objects", "runs"]
    assert board.run("ls", f"{BASE}/runs") == ""
    before = objects(board)
    device.measure(models, PLAN)
    assert objects(board) == before
    assert len(before) >= 5


def test_unplugged_while_files_are_pushed(device: ShellDevice, board: Machine, models: Models) -> None:
    """What had arrived as a whole stays and is not pushed again; the half file goes; the lock holds up nobody."""
    base = "/data/elsewhere"
    device = replace(device, transport=replace(device.transport, base=base))
    there = Path(f"/proc/{board.first}/root{arm64_root.root()}{base}/objects")
    over = threading.Event()

    def pull_the_plug() -> None:
        """In the middle of the second file."""
        while not over.wait(0.001):
            names = [path.name for path in there.glob("*")]
            if any("." not in name for name in names) and any("." in name for name in names):
                board.kill("sshd")
                return

    plug = threading.Thread(target=pull_the_plug)
    plug.start()
    try:
        with pytest.raises(DeviceUnavailableError, match="cannot be reached"):
            device.measure(models, PLAN)
    finally:
        over.set()
        plug.join()
    whole = {entry for entry in objects(board, base) if "." not in entry}
    assert whole
    plug_in(board, device)
    assert len(device.measure(models, PLAN).results.benchmark("dense").samples) == 10
    assert whole < objects(board, base)
    assert all("." not in entry for entry in objects(board, base))
    board.run("rm", "-rf", base)


def test_unplugged_in_the_middle_of_a_run(device: ShellDevice, board: Machine, models: Models) -> None:
    killed: list[int] = []

    def unplug(_share: float) -> None:
        if not killed:
            killed.extend(board.kill("sshd"))

    kept: list[Measurement] = []
    with pytest.raises(DeviceUnavailableError, match="rounds had been measured"):
        device.measure(models, LONG, unplug, kept.append)
    (partial,) = kept
    dense = partial.results.benchmark("dense")
    assert len(dense.samples) == len(dense.battery_percent) > 0
    assert set(dense.temperatures_c) == {"thermal_zone0 soc__hot_"}
    plug_in(board, device)
    device.measure(models, PLAN)  # the lock that was left is known to be nobody's
    assert board.run("ls", f"{BASE}/runs") == ""


def test_a_run_that_hangs_is_killed_there(device: ShellDevice, board: Machine, models: Models) -> None:
    stopped: list[int] = []

    def stop(_share: float) -> None:
        if not stopped:
            stopped.extend(board.kill("/objects/", signal.SIGSTOP))

    kept: list[Measurement] = []
    with pytest.raises(MeasurementError, match="did not end within 20 s"):
        device.measure(models, replace(LONG, time_limit_s=20.0), stop, kept.append)
    assert stopped
    assert len(kept) == 1
    assert board.processes("/objects/") == []
    assert board.run("ls", f"{BASE}/runs") == ""


def test_two_at_once(device: ShellDevice, models: Models) -> None:
    refused: list[str] = []

    def another(_share: float) -> None:
        if not refused:
            with pytest.raises(DeviceUnavailableError) as caught:
                device.measure(models, PLAN)
            refused.append(str(caught.value))

    device.measure(models, PLAN, another)
    assert "is in use by another run" in refused[0]
