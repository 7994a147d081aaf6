"""Estimated cycles of the sparse convolution's inner loop on Arm cores, from llvm-mca: no hardware, no caches.

    python benchmarks/cycles.py [--json FILE]

Takes the innermost loops of the assembly that multiply and add vectors, of the kernels that each core may run, and
gives each to llvm-mca. The figure is cycles a vector multiply-add, of the best loop; one core's issue limit is 0.5
(neoverse-n1, two vector units) or 1 (cortex-a55, one 64-bit pair).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from runtimes.platforms import kernels
from runtimes.toolchain import COMPILE_FLAGS, NATIVE, get_platform, kernel_flags

CORES = {"neoverse-n1": ("neon", "neon_fp16"), "cortex-a55": ("neon_inorder", "neon", "neon_fp16")}
"""Of each core, the kernels that it may run: cortex-a55 runs the second one beside cores that are not in order."""
FEWEST_FMAS = 8


def assembly(isa: str) -> str:
    platform = get_platform("linux-aarch64")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "csr_conv.s"
        command = [sys.executable, "-m", "ziglang", "cc", "-target", platform.triple, *COMPILE_FLAGS]
        command += [
            *kernel_flags(platform, next(one for one in kernels() if (one.op, one.isa) == ("csr_conv", isa))),
            "-Wno-unused-command-line-argument",
            "-S",
            "csr_conv/csr_conv.c",
            "-o",
            str(out),
        ]
        subprocess.run(command, cwd=NATIVE, check=True)
        return out.read_text(encoding="utf-8")


def loops(text: str) -> list[str]:
    """Bodies between a label and a branch back to it, without another label or call between."""
    found = []
    for function in re.split(r"\n\s*\.size\s", text):
        lines = [line.split("//")[0].rstrip() for line in function.splitlines()]
        lines = [line for line in lines if line and not re.match(r"\s+\.", line)]
        label, start = "", 0
        for index, line in enumerate(lines):
            named = re.match(r"(\.L\w+):", line)
            if named:
                label, start = named[1], index + 1
            elif label and re.match(rf"\s+(b|b\.\w+|cbn?z|tbn?z)\s.*{re.escape(label)}$", line):
                found.append("\n".join(lines[start : index + 1]))
                label = ""
    return found


def fmas(body: str) -> int:
    return len(re.findall(r"\bfmla\s+v\d+\.(?:4s|8h)", body))


def cycles(body: str, core: str, tool: str) -> float:
    """Cycles of one turn of the loop, over 200 turns."""
    with tempfile.NamedTemporaryFile("w", suffix=".s") as file:
        file.write(".Lbody:\n" + re.sub(r"\.L\w+", ".Lbody", body) + "\n")
        file.flush()
        command = [tool, "-mtriple=aarch64-linux-gnu", f"-mcpu={core}", "-iterations=200", file.name]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"Total Cycles:\s+(\d+)", printed)
    return int(match[1]) / 200 if match else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tool = next((found for name in ("llvm-mca", "llvm-mca-19") if (found := shutil.which(name))), None)
    if tool is None:
        print("llvm-mca is not installed; it comes with `apt-get install --no-install-recommends llvm`")
        return 5
    isas = dict.fromkeys(isa for of_core in CORES.values() for isa in of_core)
    bodies = {isa: [body for body in loops(assembly(isa)) if fmas(body) >= FEWEST_FMAS] for isa in isas}
    rows: list[dict[str, Any]] = []
    for core, of_core in CORES.items():
        for isa in of_core:
            for body in bodies[isa]:
                count = fmas(body)
                each = cycles(body, core, tool) / count
                rows.append({"core": core, "isa": isa, "fmas": count, "cycles_a_fma": each})
    print("estimates of llvm-mca: cycles a vector multiply-add of the innermost loops, caches left out")
    for core, isa in ((core, isa) for core, of_core in CORES.items() for isa in of_core):
        own = sorted((r["cycles_a_fma"], r["fmas"]) for r in rows if (r["core"], r["isa"]) == (core, isa))
        if own:
            middle = own[len(own) // 2][0]
            best = f"best {own[0][0]:.2f} (a loop of {own[0][1]})"
            print(f"{core:12} {isa:12} {best}, median {middle:.2f}, of {len(own)} loops")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
