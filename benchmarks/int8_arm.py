"""int8 kernels on Arm without an Arm machine: cycles of inner loops, break-even zeros, instructions of whole networks.

    python benchmarks/int8_arm.py [--network mobilenet_v1] [--json FILE]

Cycles are estimates of llvm-mca for the loops of the assembly that ships, caches left out: multiply-adds a cycle of
dense loops and of 1×4 and 2×4 blocks, cycles an output of requantisation. Break-even is the share of zero blocks past
which blocks need fewer cycles than the better of two dense loops (SDOT by 8×8, as libraries for Arm have it, and our
own). Instructions are counted on an emulated Cortex-A76, or A53 without dot products: kernels of all layers, without
ONNX Runtime around them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cycles import cycles, loops
from layers import NETWORKS, Layer, distinct

from device_bench.emulation import emulator
from device_bench.emulation.runner import build_plugin
from runtimes import library
from runtimes.platforms import Kernel
from runtimes.toolchain import COMPILE_FLAGS, NATIVE, build_program, get_platform, kernel_flags

HERE = Path(__file__).parent
PLATFORM = "linux-aarch64"
CORES = {
    "neoverse-n1": "neon_dot",
    "cortex-a55": "neon_dot_inorder",
    "cortex-a72": "neon",
    "cortex-a53": "neon",
}
"""Of each core that llvm-mca has a model for (neoverse-n1 stands for Cortex-A76), the kernels that it runs."""
ROWS = {"1x4": 1, "2x4": 2, "dense": 4}
COUNTED = (("dense", 0, 0), ("1x4", 1, 50), ("1x4", 1, 75), ("1x4", 1, 90), ("2x4", 2, 75))


@dataclass(frozen=True)
class Loop:
    """One core's estimate of a loop: multiply-adds a cycle, or cycles an output for requantisation."""

    core: str
    isa: str
    loop: str
    rate: float


def assembly(source: str, isa: str) -> str:
    """Assembly of a source as the library compiles it for an ISA."""
    platform = get_platform(PLATFORM)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "loops.s"
        flags = (
            *COMPILE_FLAGS,
            *kernel_flags(platform, Kernel("q_conv", "int8", isa)),
            "-Wno-unused-command-line-argument",
        )
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-target",
            platform.triple,
            *flags,
            "-S",
            source,
            "-o",
            str(out),
        ]
        subprocess.run(command, cwd=NATIVE, check=True)
        return out.read_text(encoding="utf-8")


def function(text: str, name: str) -> str:
    """The lines of a function, or nothing."""
    found = re.search(rf"^{name}:.*?\n\s*\.size\s", text, flags=re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def multiply_adds(body: str) -> int:
    """Of a turn of a loop: 16 an SDOT, 8 an SMULL or SMLAL."""
    return 16 * len(re.findall(r"\bsdot\s", body)) + 8 * len(re.findall(r"\bsml?u?l?a?l2?\s+v", body))


def rate_of(text: str, rows: int, core: str, tool: str) -> float:
    """Multiply-adds a cycle of the best of the tiles for blocks of so many rows."""
    rates = [0.0]
    for name in re.findall(rf"^(tiles_{rows}x\d+):", text, flags=re.MULTILINE):
        bodies = sorted((body for body in loops(function(text, name)) if multiply_adds(body)), key=multiply_adds)
        rates += [multiply_adds(bodies[-1]) / cycles(bodies[-1], core, tool)] if bodies else []
    return max(rates)


def estimates(core: str, isa: str, tool: str) -> list[Loop]:
    """All loops of a core."""
    tiles, others = assembly("q_conv/q_conv.c", isa), assembly(str(HERE / "int8_loops.c"), isa)
    found = [Loop(core, isa, name, rate_of(tiles, rows, core, tool)) for name, rows in ROWS.items()]
    dense, requantise = (loops(function(others, name)) for name in ("dense_8x8", "requantise"))
    found += [Loop(core, isa, "dense 8x8", multiply_adds(body) / cycles(body, core, tool)) for body in dense]
    return found + [Loop(core, isa, "requantise", cycles(body, core, tool) / 16) for body in requantise]


def break_even(rates: Mapping[str, float], blocks: str) -> float:
    """The share of zero blocks from which on blocks take fewer cycles than a dense loop; 0 where they always do."""
    return max(0.0, 1 - rates[blocks] / max(rate for name, rate in rates.items() if name.startswith("dense")))


def as_argument(layer: Layer, count: int, block_rows: int, zeros: int) -> str:
    """A layer for int8_layers.c; those that have no blocks are dense."""
    rows = block_rows if layer.op == "csr_conv" else 0
    shape = (layer.in_channels, layer.out_channels, layer.kernel, layer.stride, layer.side, count)
    return ":".join(str(part) for part in (layer.op, *shape, rows, zeros))


def instructions(program: Path, cpu: str, layers: list[str]) -> int:
    """Of one run of all layers: half of what three runs take more than one."""
    device, plugin = emulator(cpu), build_plugin(HERE.parent / "device_bench" / "emulation" / "count.c")

    def counted(runs: int) -> int:
        printed = device.run([program, str(runs), *layers], 600, str(plugin))
        found = re.search(r"^instructions: (\d+)$", printed, flags=re.MULTILINE)
        if found is None:
            raise SystemExit("this qemu counts no instructions: it has no plugins")
        return int(found[1])

    return (counted(3) - counted(1)) // 2


@contextmanager
def layer_program() -> Iterator[Path]:
    """The program that runs layers' kernels, of the library that ships."""
    shipped = library(PLATFORM)
    with tempfile.TemporaryDirectory() as folder:
        flags = ("-I", str(NATIVE), str(shipped), f"-Wl,-rpath,{shipped.parent}")
        yield build_program(PLATFORM, [HERE / "int8_layers.c"], Path(folder) / "int8_layers", flags)


def count_network(network: str, cpu: str, block_rows: int, zeros: int) -> dict[str, int]:
    """Instructions of a network's kernels, by op."""
    first = NETWORKS[network][0]
    inputs = Layer("quantize", first.in_channels, first.in_channels, 1, 1, first.side)
    with layer_program() as program:
        arguments: dict[str, list[str]] = {}
        for layer, count in [(inputs, 1), *distinct(NETWORKS[network])]:
            arguments.setdefault(layer.op, []).append(as_argument(layer, count, block_rows, zeros))
        return {op: instructions(program, cpu, of_op) for op, of_op in arguments.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="mobilenet_v1")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tool = next((found for name in ("llvm-mca-19", "llvm-mca") if (found := shutil.which(name))), None)
    if tool is None:
        print("llvm-mca is not installed; it comes with `apt-get install --no-install-recommends llvm-19`")
        return 5
    found = [loop for core, isa in CORES.items() for loop in estimates(core, isa, tool)]
    print(
        "estimates of llvm-mca, caches left out: multiply-adds a cycle; requantise: cycles an output; break-even zeros"
    )
    even: dict[str, dict[str, float]] = {}
    for core in CORES:
        rates = {loop.loop: loop.rate for loop in found if loop.core == core}
        even[core] = {blocks: break_even(rates, blocks) for blocks in ("1x4", "2x4")}
        zeros = ", ".join(f"{blocks} from {share:.0%}" for blocks, share in even[core].items())
        print(f"{core:12}", ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items()), "|", zeros)
    counts = []
    for cpu in ("cortex-a76", "cortex-a53"):
        for name, block_rows, percent in COUNTED:
            by_op = count_network(arguments.network, cpu, block_rows, percent)
            counts.append({"cpu": cpu, "weights": name, "zeros": percent / 100, "instructions": by_op})
            parts = ", ".join(f"{op} {number / 1e6:.1f}" for op, number in by_op.items())
            total = f"{sum(by_op.values()) / 1e6:.1f} M instructions"
            print(f"{arguments.network} on {cpu}, {name} {percent} %: {total} ({parts})")
    if arguments.json:
        result = {"network": arguments.network, "loops": [asdict(loop) for loop in found]}
        arguments.json.write_text(json.dumps(result | {"break_even": even, "counts": counts}, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
