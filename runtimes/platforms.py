"""Platforms, instruction sets and ops: the lists that everything else reads, each written once.

The ops, data types, instruction sets and kernels are those of `ops.inc`, `dtypes.inc`, `isas.inc` and `kernels.inc` in
`native/`, which the C sources include. This file imports the standard library only: the package's build hook loads it
by its path, before the package exists.
"""

import platform as host
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).parent / "native"
FILE_NAME = "libchita_edge.so"
"""The kernel library's, on every platform."""
BEST_ISA = 255
"""The number that stands for whichever instruction set is the best."""


@dataclass(frozen=True)
class Platform:
    """An operating system on a kind of processor: what the compiler is told, and what others call it."""

    name: str
    """For example "linux-aarch64"."""
    triple: str
    baseline: tuple[str, ...]
    isas: Mapping[str, tuple[str, ...]]
    """The compiler's flags for each instruction set; kernels for others are left out."""
    machines: tuple[str, ...]
    """What `uname -m` and Python call the processor, the usual name first."""
    elf_machine: int
    """The number of the processor in the header of a program."""
    library: str | None
    """The platform whose kernel library serves this one; None: there is no ONNX Runtime for it to load."""
    abi: str | None = None
    """What Android calls it."""
    bundle_folders: tuple[str, ...] = ()
    """Where its kernel library lies in a bundle."""

    libraries: tuple[str, ...] = ("-ldl",)
    """What the linker is told for a program that opens libraries."""

    @property
    def system(self) -> str:
        """The operating system, for example "linux"."""
        return self.name.split("-")[0]


# To an in-order core a load of two vectors costs more than two loads; to others it is one instruction less.
_ARM64 = {
    "neon": ("-mcpu=generic",),
    "neon_inorder": ("-mcpu=generic", "-mllvm", "-aarch64-enable-ldst-opt=false"),
    "neon_fp16": ("-mcpu=generic+fullfp16",),
    "neon_dot": ("-mcpu=generic+dotprod",),
    "neon_dot_inorder": ("-mcpu=generic+dotprod", "-mllvm", "-aarch64-enable-ldst-opt=false"),
}
_ALL = (
    Platform(
        "linux-x86_64",
        "x86_64-linux-gnu.2.17",
        ("-mcpu=x86_64",),
        {
            "sse2": ("-mcpu=x86_64",),
            "avx2": ("-mcpu=x86_64_v3",),
            "avx_vnni": ("-mcpu=x86_64_v3+avxvnni",),
            "avx512": ("-mcpu=x86_64_v4-prefer_256_bit",),
            "avx512_vnni": ("-mcpu=x86_64_v4-prefer_256_bit+avx512vnni",),
        },
        machines=("x86_64", "amd64"),
        elf_machine=62,
        library="linux-x86_64",
        abi="x86_64",
        bundle_folders=("lib/linux/x86_64",),
    ),
    Platform(
        "linux-aarch64",
        "aarch64-linux-gnu.2.17",
        ("-mcpu=generic",),
        _ARM64,
        machines=("aarch64", "arm64"),
        elf_machine=183,
        library="linux-aarch64",
        abi="arm64-v8a",
        bundle_folders=("lib/android/arm64-v8a", "lib/linux/aarch64"),
    ),
    # The library of Linux needs no C library, and so is Android's as well; programs need one of that platform.
    Platform(
        "android-aarch64",
        "aarch64-linux-android",
        ("-mcpu=generic",),
        {},
        machines=("aarch64", "arm64"),
        elf_machine=183,
        library="linux-aarch64",
        abi="arm64-v8a",
        libraries=(),
    ),
    # Kernels are compiled and tested for it.
    Platform(
        "linux-armv7",
        "arm-linux-gnueabihf.2.17",
        ("-mcpu=cortex_a7",),
        {"neon": ("-mcpu=cortex_a7",)},
        machines=("armv7l",),
        elf_machine=40,
        library=None,
    ),
)
ALL_PLATFORMS: Mapping[str, Platform] = {platform.name: platform for platform in _ALL}
PLATFORMS: Mapping[str, Platform] = {platform.name: platform for platform in _ALL if platform.library == platform.name}
"""Those that a kernel library is built for."""


def platform_of(machine: str, system: str = "linux") -> Platform | None:
    """The platform of a machine, as `uname -m` calls it, with an operating system; None where it is not known."""
    known = (one for one in _ALL if one.system == system and machine.lower() in one.machines)
    return next(known, None)


def host_platform() -> str:
    """The platform of this machine, for example "linux-x86_64", whether it is one of `PLATFORMS` or not."""
    found = platform_of(host.machine(), host.system().lower())
    return found.name if found else f"{host.system().lower()}-{host.machine().lower()}"


def dtypes(native: Path = NATIVE) -> dict[str, int]:
    """The number of each data type."""
    return {name: int(number) for name, number in _lines(native / "dtypes.inc", r"^CE_LISTED_DTYPE\((\w+), (\d+),")}


def isas(native: Path = NATIVE) -> dict[str, int]:
    """The number of each instruction set."""
    return {name: int(number) for name, number in _lines(native / "isas.inc", r"^CE_LISTED_ISA\((\w+), (\d+)\)")}


def ops(native: Path = NATIVE) -> dict[str, str]:
    """The data type, in which its reference is, of each op that has kernels."""
    return {op: own for op, own, *_ in _lines(native / "ops.inc", r"^CE_OP\((\w+), (\w+)\)")}


@dataclass(frozen=True)
class Kernel:
    """A kernel: an op for a data type, in which it multiplies and adds, and an instruction set."""

    op: str
    dtype: str
    isa: str


def kernels(native: Path = NATIVE) -> list[Kernel]:
    """Every kernel."""
    found = []
    for op, dtype, isa in _lines(native / "kernels.inc", r"CE_KERNEL\((\w+), (\w+), (\w+)\)"):
        if op == "op":
            own = ops(native).items()
            found += [Kernel(one, its, isa) for one, its in own if dtype in ("dtype", its)]
        else:
            found.append(Kernel(op, dtype, isa))
    return found


def _lines(file: Path, pattern: str) -> Iterator[tuple[str, ...]]:
    for match in re.finditer(pattern, file.read_text(encoding="utf-8"), flags=re.MULTILINE):
        yield match.groups()
