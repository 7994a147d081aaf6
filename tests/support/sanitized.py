"""Programs of the kernels built with the system's clang and its sanitizers; the compiler from PyPI has none."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtimes import host_platform
from runtimes.toolchain import COMPILE_FLAGS, NATIVE, get_platform, units

APT_COMMAND = "apt-get install clang-19 libclang-rt-19-dev"
# Without optimisation, with calls in place of inlined checks, and each function compiled once, not in each place that
# calls it, the kernels compile in a twentieth of the time.
CHECKS = (
    *("-O0", "-fsanitize=address,undefined", "-fsanitize-trap=undefined"),
    *("-mllvm", "-asan-instrumentation-with-call-threshold=0", "-DCE_INLINE=static inline"),
)
_CPUS = {"x86_64": "x86-64", "x86_64_v3": "x86-64-v3", "x86_64_v4-prefer_256_bit": "x86-64-v4"}
_WRONG = "#include <stdlib.h>\nint main(void) { volatile char *p = malloc(8); return p[8]; }\n"


@functools.cache
def clang() -> str | None:
    """A clang whose AddressSanitizer finds an overrun; None where there is none."""
    for name in ("clang-19", "clang"):
        if shutil.which(name) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            source, program = Path(folder) / "wrong.c", Path(folder) / "wrong"
            source.write_text(_WRONG)
            command = [name, "-fsanitize=address", str(source), "-o", str(program)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                continue
            found = subprocess.run([program], capture_output=True, text=True, check=False)
            if "heap-buffer-overflow" in found.stderr:
                return name
    return None


def compile_and_link(sources: Sequence[tuple[Path, Sequence[str]]], output: Path, link: Sequence[str] = ()) -> Path:
    """A program of ``sources``, each with flags of its own."""
    compiler = clang()
    assert compiler is not None

    def compile_one(numbered: tuple[int, tuple[Path, Sequence[str]]]) -> str:
        number, (source, flags) = numbered
        target = output.with_name(f"{output.name}-{number}.o")
        subprocess.run([compiler, *CHECKS, *flags, "-c", source, "-o", target], cwd=NATIVE, check=True)
        return str(target)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, enumerate(sources)))
    subprocess.run([compiler, *CHECKS, *link, *objects, "-lm", "-o", output], check=True)
    return output


def build_with_kernels(source: Path, output: Path, *flags_of_source: str) -> Path:
    """``source`` with the kernels of all of this platform's instruction sets."""
    sources: list[tuple[Path, Sequence[str]]] = [(source, ("-std=gnu11", "-I", ".", *flags_of_source))]
    for unit in units(get_platform(host_platform())):
        if not unit.source.startswith(("ort/", "common/memory")):
            # Their flags are spelt as zig does; its own switching off of sanitizers comes before CHECKS' would.
            flags = [own for flag in (*COMPILE_FLAGS, *CHECKS, *unit.flags) if flag != "-O3" for own in march(flag)]
            sources.append((NATIVE / unit.source, flags))
    return compile_and_link(sources, output)


def march(flag: str) -> list[str]:
    """A flag of zig's as clang's: a processor, and what it has besides."""
    name, *features = flag.removeprefix("-mcpu=").split("+")
    if not flag.startswith("-mcpu=") or name not in _CPUS:
        return [flag]
    return [f"-march={_CPUS[name]}", *(f"-m{feature}" for feature in features)]
