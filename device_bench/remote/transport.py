"""Reach a device's shell through a program on this machine (ssh, adb): run commands there, and hand over files.

Every command is a list of words, quoted once here for the device's shell; what a device answers is data and is never
evaluated.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_bench.errors import DeviceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MAX_OUTPUT_BYTES = 256 << 20
_MAX_LINE_BYTES = 64 << 20
_MAX_ERROR_BYTES = 8 << 10


@dataclass(frozen=True)
class Finished:
    """How a command on the device ended; ``code`` is None if it had to be stopped at its time limit."""

    code: int | None
    output: str
    errors: str


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

        DeviceUnavailableError if the device cannot be reached or the connection breaks.
        """
        try:
            with stdin.open("rb") if stdin else nullcontext(subprocess.DEVNULL) as source:
                process = subprocess.Popen(
                    [*self.command, shlex.join(words)],
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
        except OSError as error:
            raise DeviceUnavailableError(f"{self.command[0]} cannot be started ({error.strerror}).") from error
        finished = _collect(process, timeout_s, on_line)
        if finished.code is not None and self.lost(finished.code, finished.errors):
            told = finished.errors.strip().splitlines()
            raise DeviceUnavailableError(f"{self.name} cannot be reached: {told[-1] if told else 'no reason given'}.")
        return finished


def _collect(process: subprocess.Popen[bytes], timeout_s: float, on_line: Callable[[str], object] | None) -> Finished:
    """Read until the program ends or its time is up; stops it if this thread is interrupted."""
    stdout, stderr = process.stdout, process.stderr
    assert stdout is not None  # noqa: S101 (both are pipes)
    assert stderr is not None  # noqa: S101
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        process.kill()

    errors = bytearray()

    def drain_errors() -> None:
        while chunk := os.read(stderr.fileno(), 4096):
            errors.extend(chunk)
            del errors[:-_MAX_ERROR_BYTES]

    timer = threading.Timer(timeout_s, stop)
    drain = threading.Thread(target=drain_errors, daemon=True)
    timer.start()
    drain.start()
    lines: list[str] = []
    size = 0
    try:
        while line := stdout.readline(_MAX_LINE_BYTES):
            size += len(line)
            if size > MAX_OUTPUT_BYTES:
                stop()
                break
            lines.append(line.decode("utf-8", "replace"))
            if on_line:
                on_line(lines[-1])
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        timer.cancel()
        drain.join(5.0)
        stdout.close()
        stderr.close()
    code = None if stopped.is_set() else process.returncode
    return Finished(code, "".join(lines), errors.decode("utf-8", "replace"))
