"""The built libraries: what is in their ELF headers, and that building again gives the same bytes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from runtimes import platforms, toolchain
from runtimes.errors import ToolchainError
from runtimes.library import library

PAGE = 0x4000


@pytest.fixture(params=list(toolchain.PLATFORMS))
def elf(request: pytest.FixtureRequest) -> ELFFile:
    with library(request.param).open("rb") as file:
        yield ELFFile(file)


def tags(elf: ELFFile) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for tag in elf.get_section_by_name(".dynamic").iter_tags():
        found.setdefault(tag.entry.d_tag, []).append(tag.entry.d_val)
    return found


def test_loads_by_every_loader(elf: ELFFile) -> None:
    present = tags(elf)
    assert {"DT_HASH", "DT_GNU_HASH", "DT_SONAME"} <= set(present)
    assert not {"DT_NEEDED", "DT_TEXTREL", "DT_RPATH", "DT_RUNPATH", "DT_VERNEED", "DT_VERSYM"} & set(present)
    flags = present.get("DT_FLAGS_1", [0])[0]
    assert flags & 0x1, "bound at load"
    assert flags & 0x8, "never unloaded"


def test_segments(elf: ELFFile) -> None:
    segments = list(elf.iter_segments())
    loads = [segment for segment in segments if segment["p_type"] == "PT_LOAD"]
    assert loads
    for load in loads:
        assert load["p_align"] == PAGE
        assert load["p_vaddr"] % PAGE == load["p_offset"] % PAGE
        assert load["p_flags"] & 3 != 3, "nothing is writable and executable"
    kinds = {segment["p_type"] for segment in segments}
    assert "PT_TLS" not in kinds
    assert "PT_INTERP" not in kinds
    assert "PT_GNU_RELRO" in kinds
    assert next(s for s in segments if s["p_type"] == "PT_GNU_STACK")["p_flags"] & 1 == 0


def test_no_symbol_is_missing_and_only_ours_are_exported(elf: ELFFile) -> None:
    symbols = [symbol for symbol in elf.get_section_by_name(".dynsym").iter_symbols() if symbol.name]
    assert [symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF"] == []
    names = {symbol.name for symbol in symbols}
    registering = {"RegisterCustomOps", "ChitaEdgeRegisterCustomOps"}
    assert registering <= names
    assert all(name.startswith("ce_") for name in names - registering)
    binding = {symbol.name: symbol["st_info"]["bind"] for symbol in symbols}
    assert binding["RegisterCustomOps"] == "STB_WEAK", "another library's function of this name may be linked beside it"
    assert binding["ChitaEdgeRegisterCustomOps"] == "STB_GLOBAL"


def test_nothing_of_this_machine_is_inside(elf: ELFFile) -> None:
    content = elf.stream.seek(0) or elf.stream.read()
    for word in (str(Path(toolchain.__file__).parent), str(Path.home()), ".building"):
        assert word.encode() not in content
    assert elf.get_section_by_name(".note.gnu.build-id") is None
    assert elf.get_section_by_name(".symtab") is None


def test_an_unknown_platform_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="no platform 'vax'; there are linux-x86_64, linux-aarch64"):
        toolchain.build_library("vax", tmp_path)


def test_every_listed_kernel_of_the_platform_is_a_unit() -> None:
    listed = platforms.kernels()
    assert len(listed) == len(set(listed)) > 3 * list(platforms.ops().values()).count("float32")
    for platform in toolchain.PLATFORMS.values():
        objects = {unit.object for unit in toolchain.units(platform)}
        for one in listed:
            reference = one.isa == "reference"
            expected = f"{one.op}-reference.c.o" if reference else f"{one.op}-{one.dtype}-{one.isa}.o"
            assert (expected in objects) == (reference or one.isa in platform.isas)
    for source in toolchain.NATIVE.glob("ort/*.c"):
        assert f"ort-{source.name}.o" in objects


def test_the_compilers_words_are_passed_on(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return forty_two; }\n", encoding="utf-8")
    with pytest.raises(ToolchainError, match=r"the compiler failed on [\s\S]*forty_two"):
        toolchain.build_program("linux-x86_64", [source], tmp_path / "broken")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("triple", "asks"),
    [
        ("aarch64-linux-musl", True),
        ("aarch64-linux-android", True),
        ("aarch64-macos", False),
        ("aarch64-windows", False),
    ],
)
def test_linux_is_asked_by_system_calls_where_it_is_linux_only(triple: str, asks: bool, tmp_path: Path) -> None:
    """The same numbers are other calls elsewhere."""
    target = tmp_path / "arm.o"
    command = [
        *toolchain.compiler_command(),
        "-target",
        triple,
        *toolchain.COMPILE_FLAGS,
        "-c",
        "cpu/arm.c",
        "-o",
        target,
    ]
    subprocess.run([str(part) for part in command], cwd=toolchain.NATIVE, check=True)
    content = target.read_bytes()
    system_call = bytes.fromhex("010000d4")  # svc #0
    assert (system_call in content) == asks


BUILD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("t", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["t"] = module
spec.loader.exec_module(module)
module.build_library("linux-aarch64", sys.argv[2])
"""


def test_building_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    """The sources at two paths, by the hook's way in: no package, only the file. Of the kernels, two are enough."""
    built = []
    for name in ("here", "another place"):
        copy = tmp_path / name / "runtimes"
        copy.mkdir(parents=True)
        shutil.copy(toolchain.__file__, copy)
        shutil.copytree(toolchain.NATIVE, copy / "native")
        shutil.copy(platforms.__file__, copy)
        kept = "".join(f"CE_KERNEL({op}, {dtype}, reference)\n" for op, dtype in platforms.ops().items())
        kept += "CE_KERNEL(dense_conv, float32, neon)\nCE_KERNEL(csr_gemm, float32, neon)\n"
        (copy / "native" / "kernels.inc").write_text(kept, encoding="utf-8")
        command = [sys.executable, "-c", BUILD, copy / "toolchain.py", tmp_path / name / "out"]
        subprocess.run([str(part) for part in command], cwd=tmp_path, check=True)
        assert [path.name for path in (tmp_path / name / "out").iterdir()] == [toolchain.FILE_NAME]
        built.append((tmp_path / name / "out" / toolchain.FILE_NAME).read_bytes())
    assert built[0] == built[1]
    assert 20_000 < len(built[0]) < len(library("linux-aarch64").read_bytes())
