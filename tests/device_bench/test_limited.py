"""A limit ends what it limits: the program, what it started, and the waiting for their pipes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from device_bench import limited
from device_bench.limited import run_limited

FOREVER = "sleep 600"


def shell(script: str) -> list[str]:
    return ["bash", "-c", script]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that waits to be asked how has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ends(pid: int) -> bool:
    """The same, of a process that was killed: on a busy machine it takes its time to die."""
    for _ in range(2000):
        if gone(pid):
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def left_behind() -> Iterator[list[int]]:
    """Processes that a test lets live, by their ids; they end with it."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_output_errors_code_and_lines() -> None:
    heard: list[str] = []
    done = run_limited(shell("printf 'one\\ntwo\\nrest'; echo wrong >&2; exit 3"), 60.0, on_line=heard.append)
    assert (done.code, done.output, done.errors) == (3, "one\ntwo\nrest", "wrong\n")
    assert heard == ["one\n", "two\n", "rest"]


def test_input_is_a_file_or_text_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"from a file")
    assert run_limited(["cat"], 60.0, stdin=tmp_path / "in").output == "from a file"
    assert run_limited(["cat"], 60.0, stdin="ü" * 100_000).output == "ü" * 100_000
    assert run_limited(["cat"], 60.0).output == ""
    assert run_limited(shell("echo $ONLY"), 60.0, env={"ONLY": "this", "PATH": os.environ["PATH"]}).output == "this\n"


@pytest.mark.parametrize(
    "script",
    [
        "echo $$; exec sleep 600",
        "sleep 600 & echo $!; wait",  # a wrapper whose child does the work and holds the pipes
        "set -m; sleep 600 & echo $!; wait",  # ... in a process group of its own
        "(sleep 600 & echo $!; wait) & wait",
    ],
)
def test_at_the_limit_everything_that_was_started_ends(script: str) -> None:
    done = run_limited(shell(script), 0.3)
    assert done.code is None
    assert ends(int(done.output))


def test_who_keeps_the_pipes_is_not_waited_for(left_behind: list[int]) -> None:
    """As ssh's connection master does. Were it waited for, the limit would come first, and the code be None."""
    done = run_limited(shell("sleep 600 & echo $!; echo told >&2; exit 0"), 20.0)
    left_behind.append(int(done.output))
    assert (done.code, done.errors) == (0, "told\n")
    assert not gone(left_behind[0])


def test_what_a_listener_raises_ends_the_program() -> None:
    heard: list[int] = []

    def hear(line: str) -> None:
        heard.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_limited(shell("sleep 600 & echo $!; wait"), 60.0, on_line=hear)
    assert ends(heard[0])


def test_too_much_output_stops_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "MAX_OUTPUT_BYTES", 1000)
    done = run_limited(["yes"], 60.0)
    assert done.code is None


def test_only_the_end_of_the_errors_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "_MAX_ERROR_BYTES", 10)
    script = "import sys; sys.stderr.write('x' * 100_000 + 'the end'); print('answer')"
    done = run_limited([sys.executable, "-c", script], 60.0)
    assert (done.output, done.errors) == ("answer\n", "xxxthe end")


def test_without_descriptors_of_processes_the_end_is_seen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert run_limited(shell("exec 1>&- 2>&-; sleep 0.1; exit 4"), 60.0).code == 4


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        run_limited(["there-is-no-such-program"], 1.0)
