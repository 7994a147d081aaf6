"""Run arm64 programs on this machine under qemu-user, as chosen Arm processors."""

from device_bench.emulation.emulator import CPUS, Emulator, emulator
from device_bench.emulation.prepare import EmulationUnavailableError
from device_bench.emulation.runner import RunnerResult, count_instructions, run_model

__all__ = [
    "CPUS",
    "EmulationUnavailableError",
    "Emulator",
    "RunnerResult",
    "count_instructions",
    "emulator",
    "run_model",
]
