"""An arm64 machine on this one: Debian's arm64 programs below qemu, in namespaces of its own, with real sshd and adbd.

It has its own users, mounts, processes and network (loopback only), and its own register of foreign programs, so
nothing on the machine that runs the tests changes. All of it ends with its first process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import arm64_root

from device_bench.emulation.prepare import cpuinfo
from runtimes.toolchain import build_program

QEMU = "/usr/bin/qemu-aarch64-static"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
APT = "apt-get install --no-install-recommends qemu-user-static mmdebstrap iproute2"
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# F: the interpreter is opened now, since nothing in the arm64 root is one.
_START = rf"""set -e
root=$1 config=$2
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' ':arm64:M::{_MAGIC}:{_MASK}:{QEMU}:F' > /proc/sys/fs/binfmt_misc/register
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount --rbind /dev "$root/dev"
mount -t proc none "$root/proc"
mount --bind "$config/cpuinfo" "$root/proc/cpuinfo"
for folder in run root tmp; do mount -t tmpfs -o size=8m,mode=755 none "$root/$folder"; done
mount -t tmpfs -o size=64m,mode=755 none "$root/data"
mount --bind "$config" "$root/mnt"
mount --bind "$config/sys" "$root/sys"
mkdir "$root/run/sshd"
ip link set lo up
echo ready
exec sleep 600
"""
# A phone's sensors, as Linux shows them below /sys: a fast and a slow core, a warm zone, a battery in use.
_SENSORS = {
    "devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2800000",
    "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000",
    "devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    "devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq": "1800000",
    "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1200000",
    "class/thermal/thermal_zone0/type": 'soc "hot"',
    "class/thermal/thermal_zone0/temp": "41500",
    "class/power_supply/battery/capacity": "77",
    "class/power_supply/battery/status": "Discharging",
}
# A network namespace does not hold back vsock, so adbd gets none.
NO_VSOCK = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((visibility("default"))) int socket(int domain, int type, int protocol) {
  if (domain == 40) return errno = EAFNOSUPPORT, -1;
  return (int)syscall(SYS_socket, domain, type, protocol);
}
"""


def missing() -> str | None:
    """Why there can be no such machine here, None if there can."""
    if os.geteuid() != 0:
        return "a machine in namespaces of its own needs root: run the tests as root, or in a container"
    if not Path(QEMU).exists() or not shutil.which("ip") or not shutil.which("nsenter"):
        return f"qemu's static program or ip is missing: {APT}"
    if not arm64_root.root().is_dir():
        return f"there is no arm64 tree; `{arm64_root.MAKE}` makes it"
    return None


@dataclass
class Machine:
    """The running machine; `first` is its first process, `config` the folder that it sees as /mnt."""

    first: int
    config: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def beside(self) -> tuple[str, ...]:
        """The beginning of a command of this machine that runs in the network of that one."""
        return ("nsenter", "-t", str(self.first), "-n", "-p")

    @property
    def inside(self) -> tuple[str, ...]:
        """The beginning of a command that runs in the machine, as its root."""
        enter = ("nsenter", "-t", str(self.first), "-U", "-m", "-n", "-p", "env", "-i", f"PATH={PATH}")
        return (*enter, "QEMU_CPU=cortex-a53", "HOME=/root", "chroot", str(arm64_root.root()))

    def run(self, *words: str) -> str:
        return subprocess.run([*self.inside, *words], capture_output=True, text=True, check=False).stdout

    def mount(self, *words: str) -> None:
        """`mount` with this machine's own program, in the mounts of that one; {root} stands for its root."""
        command = [word.format(root=arm64_root.root()) for word in words]
        subprocess.run(["nsenter", "-t", str(self.first), "-U", "-m", "mount", *command], check=True)

    def start(self, *words: str) -> None:
        """Start a daemon in it, which stays in the foreground."""
        log = (self.config / "daemon.log").open("ab")
        self.started.append(subprocess.Popen([*self.inside, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        log.close()

    def processes(self, word: str) -> list[int]:
        """Processes in it that run the program whose path contains `word`, as this machine numbers them."""
        namespace = Path(f"/proc/{self.first}/ns/pid").readlink()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                program = command[1] if command[0] == QEMU and len(command) > 1 else command[0]
                if word in program and (entry / "ns/pid").readlink() == namespace:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def kill(self, word: str, how: signal.Signals = signal.SIGKILL) -> list[int]:
        """Send a signal to all `processes(word)`; those that got it."""
        found = self.processes(word)
        for process in found:
            os.kill(process, how)
        return found


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine without any daemon; `folder` is new and its own. Its last output is in folder/daemon.log."""
    (folder / "cpuinfo").write_text(cpuinfo(), encoding="ascii")
    for name, text in _SENSORS.items():
        (folder / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "sys" / name).write_text(f"{text}\n", encoding="ascii")
    (folder / "novsock.c").write_text(NO_VSOCK)
    build_program("linux-aarch64", [folder / "novsock.c"], folder / "novsock.so", ("-shared", "-fPIC"))
    folder.chmod(0o755)
    isolated = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    start = ["sh", "-c", _START, "sh", str(arm64_root.root()), str(folder)]
    process = subprocess.Popen(
        # The users are mapped from outside, by the line that it waits for.
        ["unshare", "--user", "sh", "-c", 'read -r _ && exec "$@"', "sh", *isolated, *start],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    found: Machine | None = None
    try:
        own = Path("/proc/self/ns/user").readlink()
        while process.poll() is None and Path(f"/proc/{process.pid}/ns/user").readlink() == own:
            time.sleep(0.01)
        for which in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{which}").write_text("0 0 65536\n")
        process.stdin.write(b"\n")
        process.stdin.close()
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the namespaces of the arm64 machine could not be set up")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        found = Machine(int(children[0]), folder)
        yield found
    finally:
        if found:
            os.kill(found.first, signal.SIGKILL)
        process.kill()
        process.wait(10)
        process.stdout.close()
        for daemon in found.started if found else ():
            daemon.wait(10)
