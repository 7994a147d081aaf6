"""A real sshd and the real ssh, joined by a pipe instead of a network; each fault is provoked for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import runtimes
from device_bench import BenchPlan, Measurement, ModelUnderTest
from device_bench.devices import get_device
from device_bench.devices.shell import ShellDevice
from device_bench.errors import DeviceUnavailableError, MeasurementError, UnknownDeviceError

PLAN = BenchPlan(samples=30, warmup_rounds=10, time_limit_s=60.0)
LONG = BenchPlan(samples=10, duration_s=120.0, warmup_rounds=2, time_limit_s=150.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A process in a mount namespace of its own, where a folder is a disk of 64 MiB; sshd works in there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    script = 'mount -t tmpfs -o size=64m none "$1" && echo ready && exec sleep 600'
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, "sh", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    if not process.stdout.readline():
        process.wait()
        process.stdout.close()
        pytest.skip("a private mount namespace needs root: run the tests as root, or in a container")
    yield process.pid, folder
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def device(tmp_path: Path, disk: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> ShellDevice:
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not sshd or not shutil.which("ssh"):
        pytest.skip("there is no sshd here: apt-get install --no-install-recommends openssh-server openssh-client")
    Path("/run/sshd").mkdir(exist_ok=True)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    (tmp_path / "sshd_config").write_text(
        f"HostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nPidFile none\nLogLevel QUIET\n"
    )
    process, _ = disk
    proxy = f"nsenter -t {process} -m {sshd} -i -f {tmp_path}/sshd_config"
    (tmp_path / "ssh_config").write_text(
        f"Host device\n  ProxyCommand {proxy}\n  IdentityFile {tmp_path}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {tmp_path}/known\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
    )
    monkeypatch.setenv("CHITA_EDGE_SSH", f"ssh -F {tmp_path}/ssh_config")
    found = get_device("ssh:device")
    assert isinstance(found, ShellDevice)
    return replace(found, transport=replace(found.transport, base=f"{disk[1]}/chita-edge"))


def inside(disk: tuple[int, Path], *words: str) -> str:
    command = ["nsenter", "-t", str(disk[0]), "-m", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_probe_and_measure(device: ShellDevice, disk: tuple[int, Path], models: dict[str, ModelUnderTest]) -> None:
    availability = device.probe()
    assert availability.reachable
    assert "runs the kernels for linux-" in availability.detail
    measurement = device.measure(models, PLAN)
    assert len(measurement.results.benchmark("dense").samples) == 30
    assert measurement.results.context.device == "ssh:device"
    left = inside(disk, "find", str(disk[1]), "-mindepth", "2").split()
    assert {Path(path).parent.name for path in left} == {"chita-edge", "objects"}


def test_unplugged_in_the_middle_of_a_run(
    device: ShellDevice, disk: tuple[int, Path], models: dict[str, ModelUnderTest]
) -> None:
    killed: list[int] = []

    def unplug(_share: float) -> None:
        if not killed:
            killed.extend(_daemons(disk[0]))
            for process in killed:
                os.kill(process, signal.SIGKILL)

    kept: list[Measurement] = []
    with pytest.raises(DeviceUnavailableError, match="rounds had been measured") as caught:
        device.measure(models, LONG, unplug, kept.append)
    assert killed
    assert caught.value.exit_code == 5
    (partial,) = kept
    assert partial.results.context.device == "ssh:device"


def _daemons(disk: int) -> list[int]:
    """The sshd processes in the disk's namespace."""
    namespace = Path(f"/proc/{disk}/ns/mnt").readlink()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text() == "sshd\n" and (entry / "ns/mnt").readlink() == namespace:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_full_disk(device: ShellDevice, disk: tuple[int, Path], models: dict[str, ModelUnderTest]) -> None:
    inside(disk, "sh", "-c", f'dd if=/dev/zero of="{disk[1]}/filler" bs=1M count=58 2>/dev/null')
    with pytest.raises(DeviceUnavailableError, match="No space left on device"):
        device.measure(models, PLAN)
    half = inside(disk, "find", f"{disk[1]}/chita-edge/objects", "-name", "*.*")
    assert half == ""


def test_a_file_system_without_programs(
    device: ShellDevice, disk: tuple[int, Path], models: dict[str, ModelUnderTest]
) -> None:
    inside(disk, "mount", "-o", "remount,noexec", str(disk[1]))
    with pytest.raises(MeasurementError, match=r"does not execute the runner.*forbids programs"):
        device.measure(models, PLAN)


def test_nobody_there_and_names_that_are_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("ssh"):
        pytest.skip("there is no ssh here: apt-get install --no-install-recommends openssh-client")
    monkeypatch.setenv("CHITA_EDGE_SSH", "ssh -F /dev/null -o ProxyCommand=false")
    availability = get_device("ssh:nobody@nowhere").probe()
    assert not availability.reachable
    assert "cannot be reached" in availability.detail
    for address in ("", "-oProxyCommand=reboot", "a b", "host;reboot", "user@-x", "$(x)"):
        with pytest.raises(UnknownDeviceError, match="names no host"):
            get_device(f"ssh:{address}")


def test_a_device_that_is_not_of_the_kind_that_it_says(
    device: ShellDevice, tmp_path: Path, models: dict[str, ModelUnderTest]
) -> None:
    """As with a 64-bit kernel and 32-bit programs: what would be pushed could not be executed there."""
    other = "aarch64" if runtimes.host_platform() == "linux-x86_64" else "x86_64"
    lying = tmp_path / "bin" / "uname"
    lying.parent.mkdir()
    lying.write_text(f"#!/bin/sh\necho {other}\n")
    lying.chmod(0o755)
    with (tmp_path / "sshd_config").open("a") as config:
        config.write(f"SetEnv PATH={lying.parent}:/usr/bin:/bin\n")
    with pytest.raises(DeviceUnavailableError, match=f"calls itself {other} and runs programs of another kind"):
        device.measure(models, PLAN)


def test_a_login_shell_that_chats(device: ShellDevice, tmp_path: Path, models: dict[str, ModelUnderTest]) -> None:
    """A greeting on standard output, as from a careless .bashrc, garbles every answer."""
    with (tmp_path / "sshd_config").open("a") as config:
        config.write("ForceCommand echo 'Welcome to $(reboot)'; eval \"$SSH_ORIGINAL_COMMAND\"\n")
    with pytest.raises(DeviceUnavailableError, match=r"answered 'Welcome to \$\(reboot\)' when asked what machine"):
        device.measure(models, PLAN)
    assert not device.probe().reachable
