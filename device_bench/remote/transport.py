"""Reach a device's shell through a program on this machine (ssh, adb): run commands there, and hand over files.

Every command is a list of words, quoted once here for the device's shell; what a device answers is data and is never
evaluated.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_bench.errors import DeviceUnavailableError
from device_bench.limited import Finished, run_limited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Transport:
    """A device's shell behind ``command``, a program and its options here to which one shell command line is added.

    ``lost`` says from an exit code and the errors whether the connection failed, rather than the command.
    """

    name: str
    command: tuple[str, ...]
    base: str
    lost: Callable[[int, str], bool]

    def run(
        self,
        words: Sequence[str],
        timeout_s: float,
        *,
        stdin: Path | None = None,
        on_line: Callable[[str], object] | None = None,
    ) -> Finished:
        """Run a command on the device, with the file ``stdin`` as its input; ``on_line`` hears each line as it comes.

        At the limit the program is ended with all that it started (:mod:`device_bench.limited`).
        DeviceUnavailableError if the device cannot be reached or the connection breaks.
        """
        try:
            finished = run_limited([*self.command, shlex.join(words)], timeout_s, stdin=stdin, on_line=on_line)
        except OSError as error:
            raise DeviceUnavailableError(f"{self.command[0]} cannot be started ({error.strerror}).") from error
        if finished.code is not None and self.lost(finished.code, finished.errors):
            told = finished.errors.strip().splitlines()
            raise DeviceUnavailableError(f"{self.name} cannot be reached: {told[-1] if told else 'no reason given'}.")
        return finished
