"""The grid of shapes through every kernel: on this processor, and on emulated 64-bit and 32-bit Arm ones."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sanitized

from device_bench.emulation import prepare
from runtimes import host_platform, isas, library
from runtimes.platforms import kernels
from runtimes.toolchain import NATIVE, PLATFORMS, build_program, build_with_kernels

GRID = Path(__file__).parent / "grid.c"
FEWEST_CASES = 40
SHARE = 3  # of the int8 cases one in so many, where programs are slow; all are run on this processor
# Each function is compiled once and not in each place, in a third of the time.
QUICK = ("-O0", "-DCE_INLINE=static inline")
TRAPS = (*QUICK, "-fsanitize=undefined", "-fsanitize-trap=undefined")
ARMHF_PACKAGE = "libc6-armhf-cross"


def run(command: list[str | Path]) -> dict[str, Any]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cases(command: list[str | Path], share: int = 1) -> dict[str, dict[str, int]]:
    """By ISA and op, how many cases a kernel passed; every line of the list has its own."""
    found = run(command)
    found.pop("bytes")
    for one in kernels():
        passed = found.get(one.isa, {}).get(one.op, 0)
        held = one.isa in found and (one.isa != "reference" or one.dtype == "int8")
        fewest = FEWEST_CASES // (share if one.dtype == "int8" else 1)
        assert not held or passed >= fewest, f"the grid lacks cases for {one}"
    return found


def linked(platform: str, folder: Path, share: int = 1) -> Path:
    """The grid with a platform's library as it ships."""
    shipped = library(platform)
    flags = ("-I", str(NATIVE), f"-DQ_SHARE={share}", str(shipped), f"-Wl,-rpath,{shipped.parent}", "-lm")
    return build_program(platform, [GRID], folder / f"grid-{platform}-{share}", flags)


@pytest.mark.skipif(host_platform() not in PLATFORMS, reason="the kernels are built for the platforms of the library")
def test_on_this_processor(tmp_path: Path) -> None:
    """All cases, with the library as it ships."""
    assert set(cases([linked(host_platform(), tmp_path)])) == set(isas())


@pytest.mark.skipif(host_platform() not in PLATFORMS, reason="the kernels are built for the platforms of the library")
def test_on_this_processor_with_sanitizers(tmp_path: Path) -> None:
    """Both sanitizers where clang is installed, else traps for undefined behaviour and unreadable pages."""
    if sanitized.clang() is None:
        program = build_with_kernels(host_platform(), GRID, tmp_path / "grid", (*TRAPS, f"-DQ_SHARE={SHARE}"))
    else:
        program = sanitized.build_with_kernels(GRID, tmp_path / "grid", f"-DQ_SHARE={SHARE}")
    assert set(cases([program], SHARE)) == set(isas())


def bytes_of_this_processor(folder: Path) -> Any:
    """A number that the int8 references' bytes make, for each op, of a share of the cases."""
    if host_platform() not in PLATFORMS:
        pytest.skip("the kernels are built for the platforms of the library")
    found = run([linked(host_platform(), folder, SHARE), "reference"])["bytes"]
    assert all(number != "0" * 16 for number in found.values())
    return found


def root(folder: Path, libraries: Path, parts: tuple[str, ...] = ()) -> Path:
    """What an emulated program sees as its root: a C library, and the processors of Arm that /proc/cpuinfo lists."""
    (folder / "proc").mkdir(parents=True)
    text = "".join(f"processor\t: {i}\nCPU architecture: 8\nCPU part\t: 0x{p}\n\n" for i, p in enumerate(parts))
    (folder / "proc" / "cpuinfo").write_text(text, encoding="ascii")
    (folder / "lib").symlink_to(libraries)
    return folder


def emulator(qemu: str, libraries: Path) -> str:
    found = shutil.which(qemu)
    if found is None or not libraries.is_dir():
        pytest.skip(f"{qemu} or {libraries} is not installed; they come with `{prepare.APT_COMMAND} {ARMHF_PACKAGE}`")
    return found


def test_on_emulated_64_bit_arm_processors(tmp_path: Path) -> None:
    """The library as it ships. Cortex-A53 has no float16 arithmetic, Cortex-A76 has; cores may differ."""
    libraries = prepare.CROSS_LIBRARIES
    qemu = emulator("qemu-aarch64", libraries)
    program = linked("linux-aarch64", tmp_path, SHARE)

    def on(cpu: str, parts: tuple[str, ...], *isas: str) -> dict[str, dict[str, int]]:
        cpus = root(tmp_path / "-".join((cpu, *parts, *isas)), libraries, parts)
        return cases([qemu, "-cpu", cpu, "-L", cpus, program, *isas], SHARE)

    alone = [qemu, "-cpu", "cortex-a53", "-L", libraries.parent, program, "reference"]
    assert run(alone)["bytes"] == bytes_of_this_processor(tmp_path)

    assert set(on("cortex-a53", ("d03", "d0b"))) == {"reference", "neon"}
    assert set(on("cortex-a76", ("d0b",), "neon_fp16", "neon_dot")) == {"neon_fp16", "neon_dot"}
    assert set(on("cortex-a76", ("d05",), "neon_dot_inorder")) == {"neon_dot_inorder"}
    assert not on("cortex-a53", ("d05",), "neon_dot", "neon_dot_inorder")
    assert set(on("cortex-a53", ("d03", "d03", "d05"), "neon_inorder")) == {"neon_inorder"}
    assert not on("cortex-a53", ("d03", "d0b", "d03"), "neon_inorder")


def test_on_an_emulated_32_bit_arm_processor(tmp_path: Path) -> None:
    libraries = Path("/usr/arm-linux-gnueabihf/lib")
    qemu = emulator("qemu-arm", libraries)
    program = build_with_kernels("linux-armv7", GRID, tmp_path / "grid", (*QUICK, f"-DQ_SHARE={SHARE}"))
    command: list[str | Path] = [qemu, "-cpu", "cortex-a7", "-L", root(tmp_path / "root", libraries), program]
    assert set(cases(command, SHARE)) == {"reference", "neon"}
    assert run([*command, "reference"])["bytes"] == bytes_of_this_processor(tmp_path)
