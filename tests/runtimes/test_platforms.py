"""The lists of platforms, instruction sets, ops and kernels, and that Python and C read the same of them."""

from __future__ import annotations

import ctypes
import platform as host
import re

import pytest

import runtimes
from runtimes import platforms


def test_the_preprocessor_makes_the_same_of_the_lists() -> None:
    """The library has the functions of every op, and finds this processor's instruction sets among those listed."""
    library = ctypes.CDLL(str(runtimes.library()))
    for op in platforms.ops():
        for function in ("plan_bytes", "plan_init", "scratch_bytes", "tasks", "run", "plan_isa"):
            assert hasattr(library, f"ce_{op}_{function}")
    usable = library.ce_usable_isas()
    numbers = platforms.isas()
    assert len(set(numbers.values())) == len(numbers)
    assert usable & ~sum(1 << number for number in numbers.values()) == 0
    assert usable >> numbers["reference"] & 1


def test_every_kernel_is_of_a_listed_op_and_of_a_platform() -> None:
    compiled = {isa for platform in platforms.ALL_PLATFORMS.values() for isa in platform.isas} | {"reference"}
    assert compiled == set(platforms.isas())
    for one in platforms.kernels():
        assert one.op in platforms.ops()
        assert one.isa in compiled
        assert one.dtype in platforms.dtypes()
        source = "reference.c" if one.isa == "reference" else f"{one.op}.c"
        assert (platforms.NATIVE / one.op / source).is_file()
    references = {(one.op, one.dtype) for one in platforms.kernels() if one.isa == "reference"}
    assert references == set(platforms.ops().items()), "what a reference takes is everything"


def test_no_other_file_has_a_list_of_its_own() -> None:
    """A platform or an instruction set that is added is added in one place."""
    package = platforms.NATIVE.parent
    lists = {"platforms.py", "isas.inc", "ops.inc", "dtypes.inc", "kernels.inc"}
    for path in (*package.rglob("*.py"), *package.rglob("*.[ch]")):
        if path.name in lists:
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bsse2\b.*\n?.*\bavx2\b.*\n?.*\bneon\b", text), path
        assert "cortex_a7" not in text, path


def test_machines_are_found_by_what_they_call_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (found := platforms.platform_of("AMD64")) and found.name == "linux-x86_64"
    assert (found := platforms.platform_of("arm64", "android")) and found.library == "linux-aarch64"
    assert platforms.platform_of("mips") is None
    for system, machine, name in (
        ("Linux", "aarch64", "linux-aarch64"),
        ("Linux", "amd64", "linux-x86_64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Linux", "riscv64", "linux-riscv64"),
    ):
        monkeypatch.setattr(host, "system", lambda system=system: system)
        monkeypatch.setattr(host, "machine", lambda machine=machine: machine)
        assert platforms.host_platform() == name
