"""The multiplying loops of the int8 convolution, as the compiler makes them: all sums stay in registers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from runtimes.platforms import PLATFORMS, Kernel
from runtimes.toolchain import COMPILE_FLAGS, NATIVE, compiler_command, kernel_flags

# Platform, ISA, a dot product, and what a loop may not have: the stack, or a vector register copied.
CASES = (
    ("linux-x86_64", "avx512_vnni", "vpdpbusd", r"\(%rsp|\(%rbp\)\s*,?\s*%zmm|vmov\w+\s+%zmm\d+, %zmm"),
    ("linux-x86_64", "avx2", "vpmaddubsw", r"%[er]sp"),
    ("linux-x86_64", "avx_vnni", "vpdpbusd", r"%[er]sp"),
    ("linux-aarch64", "neon_dot", "sdot", r"\[sp|mov\s+v\d+\.16b"),
)
FEWEST_LOOPS = 10


def inner_loops(assembly: str) -> list[str]:
    """Bodies between a label and a branch back to it, without another label between."""
    found, label, lines = [], "", []
    for line in assembly.splitlines():
        named = re.match(r"(\.L\w+):", line)
        if named:
            label, lines = named[1], []
            continue
        lines.append(line)
        if label and re.search(rf"\s{re.escape(label)}$", line):
            found.append("\n".join(lines))
            label = ""
    return found


@pytest.mark.parametrize(("platform", "isa", "dot", "forbidden"), CASES)
def test_sums_stay_in_registers(tmp_path: Path, platform: str, isa: str, dot: str, forbidden: str) -> None:
    chosen, out = PLATFORMS[platform], tmp_path / "q_conv.s"
    flags = (*COMPILE_FLAGS, *kernel_flags(chosen, Kernel("q_conv", "int8", isa)), "-Wno-unused-command-line-argument")
    command = [*compiler_command(), "-target", chosen.triple, *flags, "-S", "q_conv/q_conv.c", "-o", str(out)]
    subprocess.run(command, cwd=NATIVE, check=True, capture_output=True)
    multiplying = [body for body in inner_loops(out.read_text(encoding="utf-8")) if body.count(dot) >= 2]
    assert len(multiplying) >= FEWEST_LOOPS
    for body in multiplying:
        assert not re.search(forbidden, body), body
