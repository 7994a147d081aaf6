"""The list that `chita-edge models` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from chita_edge.models import ModelEntry
from chita_edge.report.terminal import data_console


def model_rows(entries: Iterable[ModelEntry]) -> list[dict[str, Any]]:
    """One JSON-ready object a network."""
    return [
        {
            "name": entry.name,
            "description": entry.description,
            "input_shape": list(entry.input_shape),
            "dataset": entry.dataset,
            "embedded_weights": entry.weights is not None,
            "published_weights": None if entry.published is None else entry.published.name,
            "needs_weights_file": entry.weights is None,
        }
        for entry in entries
    ]


def print_models(entries: Iterable[ModelEntry]) -> None:
    """Print the networks as a table on standard output."""
    table = Table()
    for heading in ("model", "input", "weights", "what it is"):
        table.add_column(heading)
    for entry in entries:
        table.add_row(entry.name, "×".join(map(str, entry.input_shape)), _weights(entry), entry.description)
    data_console().print(table)


def _weights(entry: ModelEntry) -> str:
    if entry.weights:
        return f"embedded, {entry.dataset}"
    return "needs --weights FILE" + ("" if entry.published is None else f" or {entry.published.name}")
