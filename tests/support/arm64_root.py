"""An arm64 Debian tree with sshd and adbd for the tests of devices; `python tests/support/arm64_root.py` makes it.

It is put together from the packages of the machine's own sources, with backports for adbd, and never started by itself:
tests run it below qemu in namespaces of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from device_bench.emulation.prepare import cache_folder

PACKAGES = "openssh-server,openssh-sftp-server,dash,coreutils,libstdc++6,adbd"
MAKE = "python tests/support/arm64_root.py"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def root() -> Path:
    """Where the tree is, or will be."""
    return cache_folder() / "arm64-device-root"


def make() -> Path:
    """Make the tree if it is not there. Raises RuntimeError with what mmdebstrap said."""
    target = root()
    if target.is_dir():
        return target
    if not shutil.which("mmdebstrap") or not SOURCES.is_file():
        raise RuntimeError("mmdebstrap, and Debian's own list of sources, are needed: apt-get install mmdebstrap")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as name:
        building, backports = Path(name, "root"), Path(name, "backports.sources")
        stanza = SOURCES.read_text().split("\n\n")[0]
        lines = ["Suites: bookworm-backports" if line.startswith("Suites:") else line for line in stanza.splitlines()]
        backports.write_text("\n".join(lines) + "\n")
        command = ["mmdebstrap", "--architectures=arm64", "--variant=extract", "--mode=root", "--skip=check/qemu"]
        # adbd's libraries exist in two releases, and only those of its own fit.
        command += ['--aptopt=APT::Default-Release "bookworm-backports"', f"--include={PACKAGES}"]
        done = subprocess.run(
            [*command, "bookworm", str(building), str(SOURCES), str(backports)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"mmdebstrap ended with status {done.returncode}: {done.stderr.strip()[-1000:]}")
        for folder in ("proc", "sys", "run", "root", "mnt", "data", "dev/pts", "var/empty", "run/sshd"):
            (building / folder).mkdir(parents=True, exist_ok=True)
        account = "{0}:x:{1}:{1}::{2}:{3}\n"
        people = account.format("root", 0, "/root", "/bin/sh") + account.format("sshd", 100, "/run/sshd", "/bin/false")
        (building / "etc/passwd").write_text(people + account.format("shell", 2000, "/data", "/bin/sh"))
        (building / "etc/group").write_text("root:x:0:\nsshd:x:100:\nshell:x:2000:\n")
        building.rename(target)
    return target


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{make()}\n")
    except RuntimeError as error:
        sys.exit(str(error))
