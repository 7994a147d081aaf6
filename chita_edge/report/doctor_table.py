"""The list that `chita-edge doctor` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rich.table import Table
from rich.text import Text

from chita_edge.report.terminal import data_console


class Finding(Protocol):
    """Result of looking for a tool, library or device, as the table shows it."""

    @property
    def name(self) -> str:
        """Name of the thing."""

    @property
    def works(self) -> bool:
        """True if it can be used."""

    @property
    def needed(self) -> bool:
        """True if the main job needs it."""

    @property
    def sentence(self) -> str:
        """Sentence about the result, and how to get what is missing."""


def print_findings(findings: Sequence[Finding]) -> None:
    """Print the findings as a table on standard output."""
    table = Table()
    for heading in ("", "works", "what was found"):
        table.add_column(heading)
    for finding in findings:
        works = "yes" if finding.works else "NO, and it is needed" if finding.needed else "no"
        table.add_row(finding.name, works, Text(finding.sentence))
    data_console().print(table)
