"""Executions of each basic block in one inference, counted below qemu-user."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from device_bench.emulation import prepare
from device_bench.emulation.runner import build_plugin, run_model
from device_bench.errors import MeasurementError

if TYPE_CHECKING:
    from device_bench.emulation import Emulator
    from device_bench.emulation.runner import Inputs

INSTRUCTION_BYTES = 4
_LINE = re.compile(r"(\d{1,19}) ((?:[0-9a-f]{8})+)")


def count_blocks(
    device: Emulator, model: Path, x: Inputs, *, sparse: bool, timeout_seconds: float
) -> dict[bytes, float]:
    """Executions of each block (its code) in one inference on one thread: half of what three runs add to one run.

    Raises EmulationUnavailableError if this qemu has no plugins, MeasurementError if a run failed.
    """
    plugin = build_plugin(Path(__file__).parent / "blocks.c")

    def counted(runs: int) -> Counter[bytes]:
        with tempfile.TemporaryDirectory(prefix="chita-edge-blocks-") as folder:
            file = Path(folder, "blocks")
            loaded = f"{plugin},out={file}"
            run_model(device, model, x, sparse=sparse, runs=runs, timeout_seconds=timeout_seconds, plugin=loaded)
            if not file.is_file():
                raise prepare.EmulationUnavailableError(
                    f"{device.qemu} has no plugins; the dynamic qemu-user 7.2 of `{prepare.APT_COMMAND}` has them"
                )
            return parse_blocks(file.read_text(encoding="ascii"))

    once, thrice = counted(1), counted(3)
    return {code: (times - once[code]) / 2 for code, times in thrice.items() if times > once[code]}


def parse_blocks(text: str) -> Counter[bytes]:
    """The plugin's lines; a block that was translated several times is one. MeasurementError if a line is not one."""
    found: Counter[bytes] = Counter()
    for line in text.splitlines():
        parts = _LINE.fullmatch(line)
        if not parts:
            raise MeasurementError(f"The counting plugin wrote what it should not: {line[:80]!r}.")
        found[bytes.fromhex(parts[2])] += int(parts[1])
    return found
