"""The grid of shapes through every kernel: on this processor, and on emulated 64-bit and 32-bit Arm ones."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import sanitized

from device_bench.emulation import prepare
from runtimes import host_platform, isas
from runtimes.kernels import listed_kernels
from runtimes.toolchain import PLATFORMS, build_with_kernels

GRID = Path(__file__).parent / "grid.c"
FEWEST_CASES = 40
TRAPS = ("-O0", "-fsanitize=undefined", "-fsanitize-trap=undefined")


def cases(command: list[str | Path]) -> dict[str, dict[str, int]]:
    """By ISA and op, how many cases a kernel passed; every line of the list has its own."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr}"
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    for op, isa in listed_kernels():
        assert isa not in found or found[isa].get(op, 0) >= FEWEST_CASES, f"the grid lacks cases for {op} with {isa}"
    return found


@pytest.mark.skipif(host_platform() not in PLATFORMS, reason="the kernels are built for the platforms of the library")
def test_on_this_processor_with_sanitizers(tmp_path: Path) -> None:
    """Both sanitizers where clang is installed, else traps for undefined behaviour and unreadable pages."""
    if sanitized.clang() is None:
        program = build_with_kernels(host_platform(), GRID, tmp_path / "grid", TRAPS)
    else:
        program = sanitized.build_with_kernels(GRID, tmp_path / "grid")
    assert set(cases([program])) == set(isas()) - {"reference"}


def cores(root: Path, parts: tuple[str, ...]) -> Path:
    """A folder in whose /proc/cpuinfo these processors of Arm stand."""
    (root / "proc").mkdir(parents=True)
    text = "".join(f"processor\t: {i}\nCPU architecture: 8\nCPU part\t: 0x{p}\n\n" for i, p in enumerate(parts))
    (root / "proc" / "cpuinfo").write_text(text, encoding="ascii")
    return root


@pytest.mark.parametrize(
    ("platform", "qemu", "cpu"),
    [("linux-aarch64", "qemu-aarch64", "cortex-a53"), ("linux-armv7", "qemu-arm", "cortex-a7")],
)
def test_on_emulated_arm_processors(platform: str, qemu: str, cpu: str, tmp_path: Path) -> None:
    """Of the 64-bit ones, Cortex-A53 has no float16 arithmetic and Cortex-A76 has; either can be among other cores."""
    emulator = shutil.which(qemu)
    if emulator is None:
        pytest.skip(f"{qemu} is not installed; it comes with `{prepare.APT_COMMAND}`")
    program = build_with_kernels(platform, GRID, tmp_path / "grid")
    assert set(cases([emulator, "-cpu", cpu, program])) == {"neon"}
    if platform == "linux-aarch64":
        assert set(cases([emulator, "-cpu", "cortex-a76", program, "neon_fp16"])) == {"neon_fp16"}
        alone, together = (
            [emulator, "-cpu", "cortex-a53", "-L", cores(tmp_path / name, parts), program, "neon_inorder"]
            for name, parts in (("alone", ("d03", "d03", "d05")), ("together", ("d03", "d0b", "d03")))
        )
        assert set(cases(alone)) == {"neon_inorder"}
        assert not cases(together)
