"""The command line; `chita_edge.commands` holds one module for each verb."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from chita_edge.commands import COMMANDS
from chita_edge.commands.failures import reported
from chita_edge.version import __version__


@click.group(context_settings={"auto_envvar_prefix": "CHITA_EDGE", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chita-edge")
def cli() -> None:
    """Prune a network, export it sparse, run it fast, and measure it where it will run.

    Data goes to standard output, progress to standard error. Exit codes: 0 ok, 1 failed, 2 usage, 5 device unavailable,
    6 bundle tampered, 130 interrupted; `compare` ends with 3 for a regression and 4 when it cannot tell.
    """


for _command in COMMANDS:
    cli.add_command(_command)


def _terminate(_signum: int, _frame: Any) -> None:
    # A job that a CI system stops cleans up as after Ctrl-C.
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: every failure ends as one sentence on standard error and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(reported(lambda: cli(standalone_mode=False)))
