"""The table that `chita-edge inspect` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from chita_edge.report.terminal import data_console
from exporters import FileReport


def inspection_json(report: FileReport) -> dict[str, Any]:
    """One JSON-ready object."""
    totals = {"weights": report.weights, "nnz": report.nnz, "sparsity": report.sparsity}
    return {**asdict(report), **totals, "layers_bytes_dense": report.bytes_dense}


def print_inspection(report: FileReport) -> None:
    """Print a model file's layers and totals on standard output."""
    console = data_console()
    table = Table(title=Text(f"{report.path}: {report.bytes:,} bytes, opset {report.opset}"), title_justify="left")
    table.add_column("layer", overflow="fold")
    for heading in ("op", "shape", "format"):
        table.add_column(heading)
    for heading in ("non-zero", "sparsity", "bytes", "of dense"):
        table.add_column(heading, justify="right")
    table.add_column("why dense", overflow="fold")
    for row in report.layers:
        share = f"{row.bytes / row.bytes_dense:.1%}" if row.bytes_dense else ""
        shape = "×".join(map(str, row.shape))
        # A file's names are its author's: as Text they cannot smuggle markup or control characters into the terminal.
        name, shares = (Text("".join(c if c.isprintable() else "?" for c in text)) for text in (row.name, row.shares))
        stored = Text(row.format) + Text(", that of ") + shares if row.shares else row.format
        table.add_row(
            name, row.op, shape, stored, f"{row.nnz:,}", f"{row.sparsity:.1%}", f"{row.bytes:,}", share, row.reason
        )
    console.print(table)
    others = ", ".join(f"{count} {op}" for op, count in report.other_ops)
    console.print(Text(f"{report.nnz:,} of {report.weights:,} weights are not zero ({report.sparsity:.1%} sparsity)."))
    if others:
        console.print(Text(f"Other ops: {others}."))
