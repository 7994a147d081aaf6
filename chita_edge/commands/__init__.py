"""Verbs of the command line, one module each; thin skins over the Python API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chita_edge.commands.bench import bench
from chita_edge.commands.build import build
from chita_edge.commands.compare import compare
from chita_edge.commands.devices import devices
from chita_edge.commands.doctor import doctor
from chita_edge.commands.export import export
from chita_edge.commands.inspect import inspect
from chita_edge.commands.models import models
from chita_edge.commands.prune import prune
from chita_edge.commands.report import report
from chita_edge.commands.verify import verify

if TYPE_CHECKING:
    import click

# A verb is one module here and one line in this list.
COMMANDS: Final[tuple[click.Command, ...]] = (
    build,
    prune,
    export,
    bench,
    compare,
    devices,
    report,
    verify,
    inspect,
    models,
    doctor,
)

__all__ = ["COMMANDS"]
