"""The command line run in this process: importing torch anew takes seconds each time."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chita_edge.cli import cli
from chita_edge.commands.failures import reported


@dataclass(frozen=True)
class Done:
    """What a command left: exit code and streams."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str, **environment: str) -> Done:
    """Run `chita-edge` with `arguments` as its entry point does, failures told as there."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        code = reported(lambda: cli(list(arguments), standalone_mode=False))
    captured = capsys.readouterr()
    return Done(code, captured.out, captured.err)
