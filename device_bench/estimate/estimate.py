"""Core-bound cycles of one inference: executions of each block times the cycles that llvm-mca gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device_bench.errors import MeasurementError
from device_bench.estimate.blocks import INSTRUCTION_BYTES, count_blocks
from device_bench.estimate.mca import Analyser, cycles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from device_bench.emulation import Emulator
    from device_bench.emulation.runner import Inputs

_SHARE: Final = 0.95
_MOST_BLOCKS: Final = 400


@dataclass(frozen=True)
class Core:
    """A core by LLVM's name of the model that stands for it, and the qemu processor that runs what it would run."""

    model: str
    qemu: str


# LLVM has no models of its own for A76 and A710; the Neoverse cores are their close relatives. A55, A510 and A710 have
# the dot product instructions, as has qemu's A76.
CORES: Final = {
    "cortex-a53": Core("cortex-a53", "cortex-a53"),
    "cortex-a55": Core("cortex-a55", "cortex-a76"),
    "cortex-a72": Core("cortex-a72", "cortex-a72"),
    "cortex-a76": Core("neoverse-n1", "cortex-a76"),
    "cortex-a510": Core("cortex-a510", "cortex-a76"),
    "cortex-a710": Core("neoverse-n2", "cortex-a76"),
}


@dataclass(frozen=True)
class Estimate:
    """``instructions`` and ``cycles`` of one inference; ``covered`` is the share of the former that was analysed."""

    instructions: float
    cycles: float
    covered: float


def estimate(
    device: Emulator,
    tools: Analyser,
    core: Core,
    model: Path,
    x: Inputs,
    *,
    sparse: bool,
    timeout_seconds: float,
) -> Estimate:
    """Estimate the cycles of one inference of ``model`` on ``core``.

    Raises MeasurementError and DeviceUnavailableError of :func:`count_blocks` and :func:`cycles`.
    """
    executions = count_blocks(device, model, x, sparse=sparse, timeout_seconds=timeout_seconds)
    hottest = hottest_blocks(executions)
    return weighed(executions, dict(zip(hottest, cycles(tools, core.model, hottest), strict=True)))


def hottest_blocks(executions: Mapping[bytes, float]) -> list[bytes]:
    """The blocks that most instructions belong to, down to a share of the whole that no longer matters."""
    ordered = sorted(executions, key=lambda code: (-executions[code] * len(code), code))
    whole, reached, found = sum(times * len(code) for code, times in executions.items()), 0.0, []
    for code in ordered[:_MOST_BLOCKS]:
        if reached >= _SHARE * whole:
            break
        found.append(code)
        reached += executions[code] * len(code)
    return found


def weighed(executions: Mapping[bytes, float], known: Mapping[bytes, float | None]) -> Estimate:
    """Sum cycles over blocks; an instruction of a block without a figure costs what those with one cost on average.

    MeasurementError if no block has a figure.
    """
    instructions = sum(times * len(code) for code, times in executions.items()) / INSTRUCTION_BYTES
    figures = {code: figure for code, figure in known.items() if figure is not None}
    analysed = sum(executions[code] * len(code) for code in figures) / INSTRUCTION_BYTES
    if not analysed:
        raise MeasurementError("llvm-mca has a figure for none of the blocks that were executed.")
    found = sum(executions[code] * figure for code, figure in figures.items())
    return Estimate(instructions, found * instructions / analysed, analysed / instructions)
