"""One emulated Arm processor and the programs that run on it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_bench.emulation import prepare
from device_bench.errors import DeviceUnavailableError, MeasurementError
from device_bench.limited import run_limited

CPUS = tuple(prepare.PARTS)


@dataclass(frozen=True)
class Emulator:
    """qemu-user as the processor `cpu`."""

    cpu: str
    qemu: Path
    root: Path

    def run(self, command: Sequence[str | Path], timeout_seconds: float, plugin: str | None = None) -> str:
        """Standard output of the arm64 program. `plugin` is qemu's own option, for counting.

        Raises:
            MeasurementError: it failed (with what it printed to stderr) or took longer than `timeout_seconds`.

        """
        options = ["-plugin", plugin, "-d", "plugin"] if plugin else []
        start = [self.qemu, "-cpu", self.cpu, "-L", self.root, *options, *command]
        environment = {"PATH": os.environ.get("PATH", ""), "ORT_DISABLE_TELEMETRY": "1"}
        try:
            done = run_limited([str(part) for part in start], timeout_seconds, env=environment)
        except OSError as error:
            raise MeasurementError(f"{self.qemu} cannot be started ({error.strerror}).") from error
        if done.code is None:
            raise MeasurementError(f"{command[0]} on {self.cpu} took longer than {timeout_seconds:g} s.")
        if done.code != 0:
            raise MeasurementError(
                f"{command[0]} on {self.cpu} ended with status {done.code}: {done.errors.strip()[-2000:]}"
            )
        return done.output if plugin is None else done.output + done.errors


def emulator(cpu: str, folder: Path | None = None) -> Emulator:
    """The emulated processor `cpu`, one of `CPUS`; `folder` is the cache (default: the user's).

    Raises:
        DeviceUnavailableError: unknown processor.
        EmulationUnavailableError: qemu or the arm64 C library is missing.

    """
    if cpu not in CPUS:
        raise DeviceUnavailableError(f"there is no emulated processor {cpu!r}; there are {', '.join(CPUS)}")
    return Emulator(cpu, prepare.qemu(), prepare.prefix(folder, cpu))
