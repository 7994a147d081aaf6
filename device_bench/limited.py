"""Run a program for at most so long: at the limit everything that it started is ended, and no pipe is waited for.

A program may be a wrapper whose child does the work, and a child may leave a process behind that keeps the pipes open
(ssh's connection master does). So the program gets a session of its own, which ends as a whole at the limit, and its
output is read until the program itself has ended, not until the last holder of the pipe has.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_OUTPUT_BYTES: Final = 256 << 20
_MAX_ERROR_BYTES: Final = 1 << 20
_CHUNK: Final = 1 << 16
_LAST_WAIT_S: Final = 5.0
_POLL_S: Final = 0.05  # where the system has no file descriptors of processes


@dataclass(frozen=True)
class Finished:
    """How a program ended; ``code`` is None if it was stopped, at its limit or because it printed too much."""

    code: int | None
    output: str
    errors: str


def run_limited(
    command: Sequence[str],
    timeout_s: float,
    *,
    stdin: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], object] | None = None,
) -> Finished:
    """Run a program; ``on_line`` hears each line of its output as it comes.

    ``stdin`` is a file, or text; the program reads nothing if it is None. The last MiB of the errors is kept. What
    ``on_line`` raises, or an interrupt, ends the program and what it started. OSError if it cannot be started.
    """
    with ExitStack() as stack:
        process = subprocess.Popen(
            command,
            stdin=_input(stack, stdin),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
        reader = _Reader(on_line)
        try:
            ended = _read(process, reader, time.monotonic() + timeout_s)
        except BaseException:
            end_session(process)
            raise
        finally:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        if not ended:
            end_session(process)
    return Finished(
        process.returncode if ended else None, "".join(reader.lines), reader.errors.decode(errors="replace")
    )


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that began a session, with all processes of the session, whatever groups they are in."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Twice: one that is being started meanwhile is in no list yet.
    for _ in range(2):
        for member in _session(process.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # a process that hangs in the kernel cannot be waited for
        process.wait(_LAST_WAIT_S)


def _session(leader: int) -> list[int]:
    """The processes of a session, as far as the system tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold anything; state, parent, group and session follow the last one.
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


class _Reader:
    """Collects output line by line, and the end of the errors."""

    def __init__(self, on_line: Callable[[str], object] | None) -> None:
        self.lines: list[str] = []
        self.errors = bytearray()
        self._on_line = on_line
        self._rest = b""
        self._size = 0

    def output(self, chunk: bytes) -> bool:
        """Take a piece of the output, an empty one at its end; False if that makes too much."""
        self._size += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._hear(line + b"\n")
        if not chunk and self._rest:
            self._hear(self._rest)
            self._rest = b""
        return self._size <= MAX_OUTPUT_BYTES

    def complain(self, chunk: bytes) -> bool:
        """Take a piece of the errors."""
        self.errors += chunk
        del self.errors[:-_MAX_ERROR_BYTES]
        return True

    def _hear(self, line: bytes) -> None:
        self.lines.append(line.decode("utf-8", "replace"))
        if self._on_line:
            self._on_line(self.lines[-1])


def _read(process: subprocess.Popen[bytes], reader: _Reader, deadline: float) -> bool:
    """Read until the program ends; whether it did before the deadline and did not print too much."""
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        ports = ((process.stdout, reader.output), (process.stderr, reader.complain))
        for pipe, take in ports:
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, take)
        poll = _watch_end(selector, process.pid, stack)
        while process.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(min(left, poll)):
                if key.data is not None and not _take(selector, key):
                    return False
        # The program is gone: what it wrote is in the pipes, and whoever else holds them is not waited for.
        while ready := [key for key, _ in selector.select(0) if key.data is not None]:
            if not all(_take(selector, key) for key in ready) or time.monotonic() > deadline + _LAST_WAIT_S:
                return False
        return reader.output(b"")


def _take(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> bool:
    try:
        chunk = os.read(key.fd, _CHUNK)
    except BlockingIOError:
        return True
    if not chunk:
        selector.unregister(key.fileobj)
        return True
    return bool(key.data(chunk))


def _watch_end(selector: selectors.BaseSelector, pid: int, stack: ExitStack) -> float:
    """Let the selector wake when the process ends; how long it may sleep at most, in seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return _POLL_S
    stack.callback(os.close, descriptor)
    selector.register(descriptor, selectors.EVENT_READ, None)
    return 3600.0


def _input(stack: ExitStack, given: Path | str | None) -> IO[bytes] | int:
    if given is None:
        return subprocess.DEVNULL
    if isinstance(given, Path):
        return stack.enter_context(given.open("rb"))
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack is its context)
    file.write(given.encode("utf-8"))
    file.seek(0)
    return file
