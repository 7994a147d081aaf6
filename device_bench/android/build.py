"""Link programs for 64-bit Arm Android with the C compiler of PyPI's ziglang, which has no C library for it.

Android's C library is part of the device. All that a program needs to be linked against it are the names of what it
uses: here, ``include/`` declares them, and libraries without content stand in for ``libc.so`` and ``libdl.so``, which
the device's own linker, ``/system/bin/linker64``, replaces by the real ones. ``start.c`` hands over to that C library.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtimes.toolchain import build_program

if TYPE_CHECKING:
    from collections.abc import Sequence

PLATFORM: Final = "android-aarch64"
INTERPRETER: Final = "/system/bin/linker64"
_HERE: Final = Path(__file__).parent
_BARE: Final = ("-ffreestanding", "-nostdlib", "-fno-stack-protector", "-fPIC")
# 16 KiB pages are what current Android asks for; both hash tables serve old and new linkers.
_LINK: Final = (
    *("-Wl,--hash-style=both", "-Wl,-z,max-page-size=16384", "-Wl,-z,noexecstack", "-Wl,-z,relro", "-Wl,-z,now"),
    *("-pie", f"-Wl,--dynamic-linker={INTERPRETER}"),
)


def _declared(header: str) -> tuple[str, ...]:
    """The functions and variables that a header declares, which are those that the stand-in must name."""
    text = (_HERE / "include" / header).read_text(encoding="utf-8")
    return tuple(re.findall(r"^(?!typedef|static)(?:\w+\*? )+(\w+)(?:\(|;)", text, re.MULTILINE))


FUNCTIONS: Final = {
    "libdl.so": _declared("dlfcn.h"),
    "libc.so": tuple(
        name
        for header in sorted(path.name for path in (_HERE / "include").glob("*.h") if path.name != "dlfcn.h")
        for name in _declared(header)
    ),
}
"""What a program may use of each library of the device."""


def build_android(sources: Sequence[Path], output: Path) -> Path:
    """Compile ``sources`` into a program for Android. ToolchainError with the compiler's own words if it cannot be."""
    with tempfile.TemporaryDirectory(prefix="chita-edge-android-") as name:
        folder = Path(name)
        # Under the names of the device's libraries the compiler would take them for its own, which it does not have.
        stand_ins = [_stand_in(folder / f"for-{library}", library, names) for library, names in FUNCTIONS.items()]
        flags = (*_BARE, *_LINK, f"-I{_HERE / 'include'}", *map(str, stand_ins))
        return build_program(PLATFORM, [*sources, _HERE / "start.c"], output, flags)


def _stand_in(output: Path, soname: str, names: Sequence[str]) -> Path:
    source = output.with_suffix(".c")
    lines = (f'__attribute__((visibility("default"))) void {name}(void) {{}}\n' for name in names)
    source.write_text("".join(lines), encoding="utf-8")
    flags = (*_BARE, "-fno-builtin", "-w", "-shared", f"-Wl,-soname,{soname}")
    return build_program(PLATFORM, [source], output, flags)
