"""An arm64 Debian tree with sshd and adbd for the tests of devices; `python tests/support/arm64_root.py` makes it.

It is put together from the packages of the machine's own sources, with backports for adbd, and never started by itself:
tests run it below qemu in namespaces of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from device_bench.emulation.prepare import cache_folder

PACKAGES = "openssh-server,openssh-sftp-server,dash,coreutils,libstdc++6,adbd"
MAKE = "python tests/support/arm64_root.py"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def root() -> Path:
    """Where the tree is, or will be."""
    return cache_folder() / "arm64-device-root"


def kernel() -> Path:
    """Where a tree with Debian's arm64 kernel for virtual machines, its modules and busybox is, or will be."""
    return cache_folder() / "arm64-kernel"


def make() -> Path:
    """Make the tree if it is not there. Raises RuntimeError with what mmdebstrap said."""
    if not root().is_dir():
        _unpack(root(), PACKAGES, _furnish)
    return root()


def make_kernel() -> Path:
    """Make the tree with the kernel if it is not there. Raises RuntimeError with what mmdebstrap said."""
    if not kernel().is_dir():
        _unpack(kernel(), "linux-image-cloud-arm64,busybox-static", lambda _: None)
    return kernel()


def _unpack(target: Path, packages: str, furnish: Callable[[Path], object]) -> None:
    if not shutil.which("mmdebstrap") or not SOURCES.is_file():
        raise RuntimeError("mmdebstrap, and Debian's own list of sources, are needed: apt-get install mmdebstrap")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as name:
        building, backports = Path(name, "root"), Path(name, "backports.sources")
        stanza = SOURCES.read_text().split("\n\n")[0]
        lines = ["Suites: bookworm-backports" if line.startswith("Suites:") else line for line in stanza.splitlines()]
        backports.write_text("\n".join(lines) + "\n")
        command = ["mmdebstrap", "--architectures=arm64", "--variant=extract", "--mode=root", "--skip=check/qemu"]
        if "adbd" in packages:
            # Its libraries exist in two releases, and only those of its own fit.
            command += ['--aptopt=APT::Default-Release "bookworm-backports"']
        done = subprocess.run(
            [*command, f"--include={packages}", "bookworm", str(building), str(SOURCES), str(backports)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"mmdebstrap ended with status {done.returncode}: {done.stderr.strip()[-1000:]}")
        furnish(building)
        building.rename(target)


def _furnish(building: Path) -> None:
    """Folders to mount over, and the accounts that the daemons look for."""
    for folder in ("proc", "sys", "run", "root", "mnt", "data", "dev/pts", "var/empty"):
        (building / folder).mkdir(parents=True, exist_ok=True)
    account = "{0}:x:{1}:{1}::{2}:{3}\n"
    people = account.format("root", 0, "/root", "/bin/sh") + account.format("sshd", 100, "/run/sshd", "/bin/false")
    (building / "etc/passwd").write_text(people + account.format("shell", 2000, "/data", "/bin/sh"))
    (building / "etc/group").write_text("root:x:0:\nsshd:x:100:\nshell:x:2000:\n")


if __name__ == "__main__":
    try:
        made = make_kernel() if sys.argv[1:] == ["--kernel"] else make()
        sys.stdout.write(f"{made}\n")
    except RuntimeError as error:
        sys.exit(str(error))
