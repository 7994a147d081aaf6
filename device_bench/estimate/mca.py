"""Cycles of straight pieces of code by llvm-mca, LLVM's machine code analyser, which simulates a core's pipeline."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from device_bench.errors import DeviceUnavailableError, MeasurementError
from device_bench.limited import run_limited

APT_COMMAND: Final = "apt-get install --no-install-recommends llvm-19"
_VERSIONS: Final = tuple(f"-{version}" for version in range(24, 13, -1))
_ITERATIONS: Final = 50
_TIMEOUT_S: Final = 300.0
# Stands behind each block in the disassembly: a breakpoint that no program holds.
_END_WORD: Final = b"\xc0\x1b\x38\xd4"
_END_TEXT: Final = ["brk", "#0xc0de"]
_CALL: Final = re.compile(r"(bl|blr|br|ret)\b")
# Every extension that a kernel may use; what is not for the core is never executed on it.
_FEATURES: Final = "-mattr=+v8.2a,+dotprod,+fullfp16,+lse,+crc,+aes,+sha2,+rcpc"


@dataclass(frozen=True)
class Analyser:
    """llvm-mca and the disassembler that belongs to it."""

    mca: str
    mc: str
    version: str


def analyser() -> Analyser:
    """The newest one that is installed. DeviceUnavailableError with the command that brings it if there is none."""
    for suffix in (*_VERSIONS, ""):
        mca, mc = shutil.which(f"llvm-mca{suffix}"), shutil.which(f"llvm-mc{suffix}")
        if mca and mc:
            told = re.search(r"LLVM version (\d[\w.]*)", _run([mca, "--version"], ""))
            return Analyser(mca, mc, told[1] if told else "unknown")
    raise DeviceUnavailableError(f"llvm-mca is not installed; it comes with `{APT_COMMAND}`.")


def cycles(tools: Analyser, core: str, blocks: Sequence[bytes]) -> list[float | None]:
    """Cycles of one execution of each block when it is executed again and again, on LLVM's model of ``core``.

    Every load is taken to hit the nearest cache. None for a block that the analyser does not know. MeasurementError if
    the analyser fails.
    """
    return _analysed(tools, core, _disassemble(tools, blocks))


def _analysed(tools: Analyser, core: str, listings: Sequence[str]) -> list[float | None]:
    regions = [f"# LLVM-MCA-BEGIN {index}\n{text}# LLVM-MCA-END\n" for index, text in enumerate(listings) if text]
    if not regions:
        return [None] * len(listings)
    options = ["-mtriple=aarch64", f"-mcpu={core}", _FEATURES, f"-iterations={_ITERATIONS}", "--json"]
    try:
        told = _run([tools.mca, *options, "-"], "".join(regions))
    except MeasurementError:
        # One instruction that its model lacks makes it refuse them all.
        if len(listings) == 1:
            return [None]
        half = len(listings) // 2
        return _analysed(tools, core, listings[:half]) + _analysed(tools, core, listings[half:])
    try:
        found = {
            int(region["Name"]): region["SummaryView"]["TotalCycles"] / region["SummaryView"]["Iterations"]
            for region in json.loads(told[told.index("{") :])["CodeRegions"]
        }
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise MeasurementError(f"llvm-mca {tools.version} answered what cannot be read: {told[:200]!r}.") from error
    return [found.get(index) for index in range(len(listings))]


def _disassemble(tools: Analyser, blocks: Sequence[bytes]) -> list[str]:
    """Each block as assembly; a word that is no instruction is left out."""
    lines = []
    for block in blocks:
        # One line a word: the disassembler says which line it could not read, and goes on.
        words = (block[at : at + 4] for at in range(0, len(block), 4))
        lines += [" ".join(f"0x{byte:02x}" for byte in word) for word in (*words, _END_WORD)]
    text = _run([tools.mc, "--disassemble", "-triple=aarch64", _FEATURES], "\n".join(lines))
    listings = [""]
    for line in text.splitlines():
        instruction = line.strip()
        if instruction.split() == _END_TEXT:
            listings.append("")
        elif instruction and not instruction.startswith("."):
            # The analyser would take a call for 100 cycles; where it leads is in other blocks.
            listings[-1] += "b #4\n" if _CALL.match(instruction) else f"{instruction}\n"
    return listings[: len(blocks)]


def _run(command: list[str], text: str) -> str:
    try:
        done = run_limited(command, _TIMEOUT_S, stdin=text)
    except OSError as error:
        raise MeasurementError(f"{command[0]} could not be run: {error}") from error
    if done.code is None:
        raise MeasurementError(f"{command[0]} took longer than {_TIMEOUT_S:g} s.")
    if done.code != 0:
        raise MeasurementError(f"{command[0]} ended with status {done.code}: {done.errors.strip()[-300:]}")
    return done.output
