"""The runner for Android: what its file says, and that it runs with glibc standing in for Android's C library."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from device_bench.android import FUNCTIONS, INTERPRETER, PLATFORM
from device_bench.emulation import EmulationUnavailableError, prepare
from device_bench.emulation.runner import runner_program
from runtimes.toolchain import build_program

# Android's way into main, over glibc's.
STAND_IN = """
#include <stdlib.h>
__attribute__((visibility("default")))
_Noreturn void __libc_init(long* stack, void (*on_exit)(void), int (*run)(int, char**, char**), const void* lists) {
  (void)on_exit, (void)lists;
  char** words = (char**)(stack + 1);
  exit(run((int)*stack, words, words + *stack + 1));
}
"""


@pytest.fixture(scope="module")
def program() -> Path:
    return runner_program(platform=PLATFORM)


def test_the_file_is_what_android_loads(program: Path) -> None:
    with program.open("rb") as file:
        elf = ELFFile(file)
        assert (elf["e_machine"], elf["e_type"], elf.elfclass, elf.little_endian) == ("EM_AARCH64", "ET_DYN", 64, True)
        segments = list(elf.iter_segments())
        assert [s.get_interp_name() for s in segments if s["p_type"] == "PT_INTERP"] == [INTERPRETER]
        loads = [s for s in segments if s["p_type"] == "PT_LOAD"]
        assert {s["p_align"] for s in loads} == {16384}
        assert all(s["p_offset"] % 16384 == s["p_vaddr"] % 16384 for s in loads)
        assert all(s["p_flags"] & 3 != 3 for s in loads), "nothing is writable and executable at once"
        assert not [s for s in segments if s["p_type"] == "PT_TLS"]
        assert [s["p_flags"] & 1 for s in segments if s["p_type"] == "PT_GNU_STACK"] == [0]
        dynamic = next(s for s in segments if s["p_type"] == "PT_DYNAMIC")
        tags = [tag.entry.d_tag for tag in dynamic.iter_tags()]
        assert {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")} == {"libc.so", "libdl.so"}
        assert next(dynamic.iter_tags("DT_FLAGS_1")).entry.d_val & 0x08000000, "a program, position-independent"
        assert {"DT_HASH", "DT_GNU_HASH"} <= set(tags)
        assert not {"DT_TEXTREL", "DT_VERNEED", "DT_VERSYM", "DT_RPATH", "DT_RUNPATH"} & set(tags)
        assert not [section for section in elf.iter_sections() if isinstance(section, GNUVerNeedSection)]
        notes = [note for s in segments if s["p_type"] == "PT_NOTE" for note in s.iter_notes()]
        assert [note["n_name"] for note in notes] == ["Android"]


def test_it_is_small_enough_to_push(program: Path) -> None:
    assert program.stat().st_size < 100_000


def test_it_asks_for_nothing_but_the_declared_functions(program: Path) -> None:
    with program.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
        wanted = {s.name for s in symbols if s.name and s["st_shndx"] == "SHN_UNDEF"}
    assert wanted
    assert wanted <= {name for names in FUNCTIONS.values() for name in names}
    assert "__libc_init" in wanted
    assert not [name for name in wanted if "@" in name or "isoc" in name or name.startswith("__stack_chk")]


def test_it_runs_with_glibc_standing_in(program: Path, models: dict[str, Path], tmp_path: Path) -> None:
    """The device's own linker and C library were never at hand; everything else of the program is run here."""
    try:
        qemu, library = prepare.qemu(), prepare.onnxruntime_library()
    except EmulationUnavailableError as error:
        pytest.skip(str(error))
    root = tmp_path / "root"
    (root / "system" / "bin").mkdir(parents=True)
    (root / "proc").mkdir()
    (root / "proc" / "cpuinfo").write_text(prepare.cpuinfo())
    (root / "lib").symlink_to(prepare.CROSS_LIBRARIES)
    (root / INTERPRETER.lstrip("/")).symlink_to(prepare.CROSS_LIBRARIES / "ld-linux-aarch64.so.1")
    stand_ins = tmp_path / "stand-ins"
    (tmp_path / "libc.c").write_text(STAND_IN)
    build_program("linux-aarch64", [tmp_path / "libc.c"], stand_ins / "libc.so", ("-shared", "-fPIC"))
    (stand_ins / "libdl.so").symlink_to(prepare.CROSS_LIBRARIES / "libdl.so.2")
    np.ones((1, 64), "<f4").tofile(tmp_path / "x.raw")
    command = [qemu, "-cpu", "cortex-a53", "-L", root, "-E", f"LD_LIBRARY_PATH={stand_ins}", program]
    command += ["--ort", library, "--input", tmp_path / "x.raw", "--shape", "1,64", "--samples", "5", "--profile", "1"]
    command += [word for name, path in models.items() for word in ("--dense", f"{name}={path}")]
    done = subprocess.run(
        [str(word) for word in command],
        env={"PATH": os.environ["PATH"], "ORT_DISABLE_TELEMETRY": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert [(entry["name"], len(entry["samples"])) for entry in results["benchmarks"]] == [("a", 5), ("b", 5)]
    assert list(tmp_path.glob("profile*")) == []


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    import onnx
    from onnx import TensorProto, helper

    found = {}
    for name, op in (("a", "Relu"), ("b", "Abs")):
        value = [helper.make_tensor_value_info(side, TensorProto.FLOAT, [1, 64]) for side in ("x", "y")]
        graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "g", value[:1], value[1:])
        found[name] = tmp_path / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), found[name])
    return found
