"""A whole arm64 machine below qemu-system: Debian's kernel, a small system in memory, a real sshd.

Its clock counts instructions (`-icount`), so what is measured there repeats to the digit and says nothing of time.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import arm64_root

QEMU = "qemu-system-aarch64"
APT = "apt-get install --no-install-recommends qemu-system-arm ipxe-qemu mmdebstrap iproute2"
_MODULES = (
    *("drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_mmio"),
    *("net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"),
)
# What the daemon and the runner need of the tree; the rest would only be unpacked, instruction by instruction.
_KEPT = ("bin", "sbin", "lib", "etc", "usr/bin", "usr/sbin", "usr/lib/aarch64-linux-gnu", "usr/lib/openssh")
_INIT = """#!/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
b=/busybox
$b mkdir -p /proc /sys /dev /run/sshd /data /tmp /root
$b mount -t proc none /proc
$b mount -t sysfs none /sys
$b mount -t devtmpfs none /dev
$b mount -t tmpfs -o size=128m none /data
for module in {modules}; do $b insmod /modules/$module.ko; done
$b ip link set lo up
$b ip addr add 10.0.2.15/24 dev eth0
$b ip link set eth0 up
echo 'the machine is up'
/usr/sbin/sshd -D -e -f /mnt/sshd_config
$b poweroff -f
"""


def missing() -> str | None:
    """Why there can be no such machine here, None if there can."""
    if not shutil.which(QEMU) or not shutil.which("ip"):
        return f"{QEMU} or ip is missing: {APT}"
    if os.geteuid() != 0:
        return "a network of its own needs root: run the tests as root, or in a container"
    if not arm64_root.root().is_dir() or not arm64_root.kernel().is_dir():
        return f"there is no arm64 tree or kernel; `{arm64_root.MAKE}` and `{arm64_root.MAKE} --kernel` make them"
    return None


@contextmanager
def machine(folder: Path) -> Iterator[tuple[str, ...]]:
    """Start it; `folder` holds its sshd_config and keys, which it sees as /mnt.

    Gives the beginning of a command of this machine that runs where 127.0.0.1:2222 leads to its sshd.
    """
    image = folder / "initramfs"
    _write_image(image, folder)
    vmlinuz = next((arm64_root.kernel() / "boot").glob("vmlinuz-*"))
    command = [QEMU, "-M", "virt", "-cpu", "cortex-a53", "-smp", "1", "-m", "1536", "-nographic", "-no-reboot"]
    command += ["-icount", "shift=0,sleep=off", "-kernel", str(vmlinuz), "-initrd", str(image)]
    command += ["-append", "console=ttyAMA0 quiet panic=-1", "-device", "virtio-net-device,netdev=n"]
    command += ["-netdev", "user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:2222-10.0.2.15:22"]
    start = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
    with (folder / "console.log").open("wb") as console:
        process = subprocess.Popen(
            [*start, 'ip link set lo up && exec "$@"', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
    try:
        yield "nsenter", "-t", str(process.pid), "-n"
    finally:
        process.kill()
        process.wait(10)


def _write_image(image: Path, config: Path) -> None:
    """The first file system of the machine, in the format that the kernel unpacks (cpio, newc)."""
    modules = next((arm64_root.kernel() / "lib" / "modules").iterdir()) / "kernel"
    with image.open("wb") as file:
        for kept in _KEPT:
            top = arm64_root.root() / kept
            parents = list(Path(kept).parents)[:-1]
            for parent in reversed(parents):
                _entry(file, str(parent), stat.S_IFDIR | 0o755, b"")
            for path in [top, *sorted(top.rglob("*"))]:
                _copy(file, path, str(path.relative_to(arm64_root.root())))
        for name in ("mnt", "modules"):
            _entry(file, name, stat.S_IFDIR | 0o755, b"")
        for name in ("sshd_config", "host", "user.pub"):
            _entry(file, f"mnt/{name}", stat.S_IFREG | 0o600, (config / name).read_bytes())
        for module in _MODULES:
            name = module.rpartition("/")[2]
            _entry(file, f"modules/{name}.ko", stat.S_IFREG | 0o644, (modules / f"{module}.ko").read_bytes())
        _entry(file, "busybox", stat.S_IFREG | 0o755, (arm64_root.kernel() / "bin/busybox").read_bytes())
        init = _INIT.format(modules=" ".join(module.rpartition("/")[2] for module in _MODULES))
        _entry(file, "init", stat.S_IFREG | 0o755, init.encode())
        _entry(file, "TRAILER!!!", 0, b"")


def _copy(file: io.BufferedWriter, path: Path, name: str) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        _entry(file, name, found.st_mode, str(path.readlink()).encode())
    elif stat.S_ISDIR(found.st_mode):
        _entry(file, name, found.st_mode, b"")
    elif stat.S_ISREG(found.st_mode):
        _entry(file, name, found.st_mode, path.read_bytes())


def _entry(file: io.BufferedWriter, name: str, mode: int, data: bytes) -> None:
    words = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(words), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    file.write(header + words + bytes(-(len(header) + len(words)) % 4) + data + bytes(-len(data) % 4))
