"""Build the kernel library for every platform with the C compiler of PyPI's ziglang: no system compiler, no network.

This file imports the standard library and `platforms.py` only: the package's build hook loads both by their paths,
before the package exists.
`python -m runtimes.toolchain` builds all platforms in place.

A kernel source is compiled once for each instruction set that `native/kernels.inc` gives it, everything else once
per platform. Same sources and same compiler give the same bytes: no path, date or debug information gets in.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

if __package__:
    from runtimes import platforms
    from runtimes.errors import ToolchainError
else:  # in the build hook there is no package yet

    class ToolchainError(Exception):  # type: ignore[no-redef]
        """The kernel library could not be built."""

    def _beside(name: str) -> ModuleType:
        """A module of this folder, by its path."""
        spec = importlib.util.spec_from_file_location(f"chita_edge_{name}", Path(__file__).with_name(f"{name}.py"))
        if spec is None or spec.loader is None:
            raise ToolchainError(f"{name}.py is missing from the sources")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    platforms = _beside("platforms")

NATIVE = platforms.NATIVE
PLATFORMS = platforms.PLATFORMS
FILE_NAME = platforms.FILE_NAME
COMPILE_FLAGS = (
    *("-O3", "-std=gnu11", "-g0", "-fPIC", "-fvisibility=hidden", "-ffreestanding", "-fno-stack-protector"),
    *("-fno-sanitize=all", "-fomit-frame-pointer", "-fno-ident", "-Wall", "-Wextra", "-Werror", "-I", "."),
)
# 16 KiB pages are asked for by current Android; both hash tables serve old and new loaders; -z nodelete because ONNX
# Runtime keeps pointers to the ops, and so that nothing has to be freed when the last session goes.
LINK_FLAGS = (
    *("-shared", "-nostdlib", "-s", "-Wl,--hash-style=both", "-Wl,-z,max-page-size=16384", "-Wl,-z,noexecstack"),
    *(
        "-Wl,-z,relro",
        "-Wl,-z,now",
        "-Wl,-Bsymbolic",
        "-Wl,-z,nodelete",
        "-Wl,--build-id=none",
        f"-Wl,-soname,{FILE_NAME}",
    ),
)


def get_platform(name: str) -> platforms.Platform:
    """The platform called `name`.

    Raises:
        ToolchainError: there is none.

    """
    if name not in PLATFORMS:
        raise ToolchainError(f"there is no platform {name!r}; there are {', '.join(PLATFORMS)}")
    return PLATFORMS[name]


def _known(name: str) -> platforms.Platform:
    return platforms.ALL_PLATFORMS.get(name) or get_platform(name)


@dataclass(frozen=True)
class Unit:
    """One compilation: a source, relative to the native folder, and its flags."""

    source: str
    object: str
    flags: tuple[str, ...]


def kernel_flags(platform: platforms.Platform, kernel: platforms.Kernel) -> tuple[str, ...]:
    """The compiler's flags for a kernel, besides those for all."""
    key = (f"-DCE_DTYPE={kernel.dtype}", f"-DCE_OF_{kernel.dtype}", f"-DCE_ISA={kernel.isa}")
    return (*platform.isas[kernel.isa], *key)


def units(platform: platforms.Platform, native: Path = NATIVE) -> list[Unit]:
    """All compilations that make the library for `platform`, in the order in which they are linked."""
    once = sorted(
        path.relative_to(native).as_posix()
        for pattern in ("common/*.c", "cpu/*.c", "*/reference.c", "ort/*.c")
        for path in native.glob(pattern)
    )
    found = [Unit(source, source.replace("/", "-") + ".o", platform.baseline) for source in once]
    for kernel in platforms.kernels(native):
        if kernel.isa in platform.isas:
            name = f"{kernel.op}-{kernel.dtype}-{kernel.isa}.o"
            found.append(Unit(f"{kernel.op}/{kernel.op}.c", name, kernel_flags(platform, kernel)))
    return found


def compiler_command() -> list[str]:
    """The C compiler's command line, to which arguments are added."""
    return [sys.executable, "-m", "ziglang", "cc"]


def _compiler(arguments: Sequence[str], folder: Path, cache_dir: Path | None) -> None:
    command = [*compiler_command(), *arguments]
    environment = dict(os.environ)
    if cache_dir is not None:
        environment |= {"ZIG_GLOBAL_CACHE_DIR": str(cache_dir), "ZIG_LOCAL_CACHE_DIR": str(cache_dir)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "No module named ziglang" in done.stderr:
        raise ToolchainError("the compiler is missing: install it with `pip install ziglang`")
    raise ToolchainError(f"the compiler failed on `{shlex.join(arguments)}`:\n{done.stderr.strip()}")


def build_library(platform: str, out_dir: Path | str, cache_dir: Path | str | None = None) -> Path:
    """Compile and link the library for `platform` into `out_dir`; an older one is replaced by a complete one only.

    `cache_dir` is the compiler's cache (default: ziglang's own).

    Raises:
        ToolchainError: unknown platform, no compiler, or the compiler's own message.

    """
    chosen = get_platform(platform)
    cache = Path(cache_dir).resolve() if cache_dir is not None else None
    out = Path(out_dir).resolve()
    out.mkdir(parents=True, exist_ok=True)
    work = units(chosen)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=out) as folder:
        target = ("-target", chosen.triple)

        def compile_unit(unit: Unit) -> None:
            output = str(Path(folder) / unit.object)
            _compiler([*target, *COMPILE_FLAGS, *unit.flags, "-c", unit.source, "-o", output], NATIVE, cache)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_unit, work))
        # The linker runs where the objects are, so that no path of this machine is on its command line.
        objects = [unit.object for unit in work]
        _compiler([*target, *chosen.baseline, *LINK_FLAGS, *objects, "-o", FILE_NAME], Path(folder), cache)
        library = Path(folder) / FILE_NAME
        library.chmod(0o755)
        return library.replace(out / FILE_NAME)


def build_program(platform: str, sources: Sequence[Path], output: Path, extra_flags: Sequence[str] = ()) -> Path:
    """Compile `sources` into a program for `platform` that uses the system's C library (glibc 2.17 or newer).

    With `-shared` among `extra_flags` it is a plugin, whose host gives it the symbols that it does not define.

    Raises:
        ToolchainError: unknown platform, no compiler, or the compiler's own message.

    """
    chosen = _known(platform)
    folder = Path(os.path.commonpath([source.resolve().parent for source in sources]))
    names = [str(source.resolve().relative_to(folder)) for source in sources]
    flags = ["-O2", "-std=gnu11", "-g0", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none", *chosen.baseline]
    flags += extra_flags
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=output.parent) as building:
        program = Path(building).resolve() / output.name
        _compiler(["-target", chosen.triple, *flags, *names, *chosen.libraries, "-o", str(program)], folder, None)
        return program.replace(output)


def build_with_kernels(platform: str, source: Path, output: Path, extra_flags: Sequence[str] = ()) -> Path:
    """Compile `source` and all kernels, without ONNX Runtime's side, into a program for `platform` and its C library.

    `platform` is one of those of the library, or linux-armv7. `extra_flags` are for the kernels as well: a sanitizer.

    Raises:
        ToolchainError: unknown platform, no compiler, or the compiler's own message.

    """
    chosen = _known(platform)
    target = ("-target", chosen.triple)
    # A program has a memcpy of its own, and may use the C library: the kernels are still compiled not to.
    work = [unit for unit in units(chosen) if not unit.source.startswith(("ort/", "common/memory"))]
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=output.parent) as building:
        folder = Path(building).resolve()

        def compile_unit(unit: Unit) -> str:
            arguments = [*target, *COMPILE_FLAGS, *extra_flags, *unit.flags, "-c", unit.source]
            _compiler([*arguments, "-o", str(folder / unit.object)], NATIVE, None)
            return unit.object

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_unit, work))
        flags = (*extra_flags, "-O1", "-std=gnu11", "-g0", "-Wall", "-Wextra", "-Werror", *chosen.baseline)
        main = [*target, *flags, "-I", str(NATIVE), str(source.resolve()), *objects, "-lm", "-o", output.name]
        _compiler(main, folder, None)
        return (folder / output.name).replace(output)


def build_all(folder: Path | None = None, cache_dir: Path | None = None) -> list[Path]:
    """Build every platform's library into `folder/<platform>` (default: in place, `runtimes/_lib/<platform>`)."""
    root = folder or Path(__file__).parent / "_lib"
    return [build_library(name, root / name, cache_dir) for name in PLATFORMS]


def main() -> int:
    """Build in place, print what was built."""
    try:
        for path in build_all():
            sys.stdout.write(f"{path} ({path.stat().st_size} bytes)\n")
    except ToolchainError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
