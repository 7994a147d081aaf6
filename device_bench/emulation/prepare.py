"""Prerequisites of emulation: qemu-user, an arm64 C library, ONNX Runtime for arm64, and a root folder.

`python -m device_bench.emulation` fetches ONNX Runtime's arm64 wheel (the version that is installed here) and says what
else is missing.
"""

import os
import shutil
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

from device_bench.errors import DeviceUnavailableError
from device_bench.limited import run_limited

APT_COMMAND = (
    "apt-get install --no-install-recommends qemu-user libc6-arm64-cross libstdc++6-arm64-cross libgcc-s1-arm64-cross"
)
PREPARE_COMMAND = "python -m device_bench.emulation"
QEMU = "qemu-aarch64"
CROSS_LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
_NEEDED = ("ld-linux-aarch64.so.1", "libc.so.6", "libstdc++.so.6", "libgcc_s.so.1")
_LARGEST_LIBRARY = 200 * 2**20
_DOWNLOAD_S = 900.0

# ONNX Runtime's cpuinfo reads /proc/cpuinfo, where qemu before 8 shows the host's; on an x86 one it ends the process.
# The kernels read there whether all cores are in order.
PARTS = {
    "cortex-a35": "d04",
    "cortex-a53": "d03",
    "cortex-a57": "d07",
    "cortex-a72": "d08",
    "cortex-a76": "d0b",
    "neoverse-n1": "d0c",
}


def cpuinfo(cpu: str = "cortex-a53") -> str:
    """Text of /proc/cpuinfo for two cores."""
    return "".join(
        f"processor\t: {core}\nBogoMIPS\t: 100.00\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: 0x{PARTS[cpu]}\nCPU revision\t: 4\n\n"
        for core in range(2)
    )


class EmulationUnavailableError(DeviceUnavailableError):
    """Something that emulation needs is missing; the message ends with the command that brings it."""


def cache_folder() -> Path:
    """`$CHITA_EDGE_CACHE`, else `$XDG_CACHE_HOME/chita-edge`, else `~/.cache/chita-edge`."""
    own = os.environ.get("CHITA_EDGE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chita-edge"


def qemu() -> Path:
    """The emulator's program.

    Raises:
        EmulationUnavailableError: it, or the arm64 C library, is not installed.

    """
    found = shutil.which(QEMU)
    if found is None:
        raise EmulationUnavailableError(f"{QEMU} is not installed; it comes with `{APT_COMMAND}`")
    missing = [name for name in _NEEDED if not (CROSS_LIBRARIES / name).exists()]
    if missing:
        raise EmulationUnavailableError(
            f"{CROSS_LIBRARIES} does not have {', '.join(missing)}; they come with `{APT_COMMAND}`"
        )
    return Path(found)


def onnxruntime_library(folder: Path | None = None) -> Path:
    """ONNX Runtime's arm64 library, of the version installed here.

    Raises:
        EmulationUnavailableError: it was not fetched yet.

    """
    release = version("onnxruntime")
    path = (folder or cache_folder()) / "onnxruntime-aarch64" / f"libonnxruntime.so.{release}"
    if not path.is_file():
        raise EmulationUnavailableError(
            f"ONNX Runtime {release} for arm64 is not in {path.parent}; `{PREPARE_COMMAND}` fetches it"
        )
    return path


def fetch_onnxruntime(folder: Path | None = None) -> Path:
    """Download ONNX Runtime's arm64 wheel with pip and keep its library; nothing is done when it is there already.

    Raises:
        EmulationUnavailableError: pip could not download it, or the wheel does not hold the library.

    """
    release = version("onnxruntime")
    target = (folder or cache_folder()) / "onnxruntime-aarch64" / f"libonnxruntime.so.{release}"
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    python = f"{sys.version_info.major}{sys.version_info.minor}"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        for glibc in ("2_28", "2_27", "2_17"):
            command += ["--platform", f"manylinux_{glibc}_aarch64"]
        command += ["--python-version", python, "--implementation", "cp", "--abi", f"cp{python}", "--dest", name]
        try:
            done = run_limited([*command, f"onnxruntime=={release}"], _DOWNLOAD_S)
        except OSError as error:
            raise EmulationUnavailableError(f"pip could not be started: {error}") from error
        wheels = list(Path(name).glob("*.whl"))
        if done.code != 0 or not wheels:
            why = f"it took longer than {_DOWNLOAD_S:g} s" if done.code is None else done.errors.strip()
            raise EmulationUnavailableError(f"pip could not download onnxruntime {release}: {why}")
        member = f"onnxruntime/capi/{target.name}"
        with zipfile.ZipFile(wheels[0]) as wheel:
            if member not in wheel.namelist() or wheel.getinfo(member).file_size > _LARGEST_LIBRARY:
                raise EmulationUnavailableError(f"the wheel {wheels[0].name} does not hold a plausible {member}")
            unpacked = Path(name) / target.name
            unpacked.write_bytes(wheel.read(member))
        unpacked.replace(target)
    return target


def prefix(folder: Path | None = None, cpu: str = "cortex-a53") -> Path:
    """The folder that the emulated program sees as its root: the arm64 C library, and the CPU's /proc/cpuinfo."""
    root = (folder or cache_folder()) / "aarch64-roots" / cpu
    (root / "proc").mkdir(parents=True, exist_ok=True)
    file = root / "proc" / "cpuinfo"
    if not file.is_file() or file.read_text(encoding="ascii") != cpuinfo(cpu):
        file.write_text(cpuinfo(cpu), encoding="ascii")
    link = root / "lib"
    if not link.is_symlink():
        try:
            link.symlink_to(CROSS_LIBRARIES, target_is_directory=True)
        except FileExistsError:
            if not link.is_symlink():
                raise
    return root
