"""The table that `chita-edge export` prints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from chita_edge.report.terminal import data_console
from device_bench.short_numbers import short
from exporters import SparseModel


def export_json(out: Path, exported: SparseModel) -> dict[str, Any]:
    """One JSON-ready object."""
    return {
        "file": str(out),
        "bytes": out.stat().st_size,
        "layers": [asdict(layer) for layer in exported.layers],
        "notes": list(exported.notes),
    }


def print_export(out: Path, exported: SparseModel) -> None:
    """Print the layers with the reason of each format, and the file, on standard output."""
    console = data_console()
    table = Table()
    table.add_column("layer", overflow="fold")
    for heading in ("shape", "sparsity", "bytes", "of dense", "MACs", "format"):
        table.add_column(heading, justify="left" if heading in ("shape", "format") else "right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for layer in exported.layers:
        # A file's names are its author's: as Text they cannot smuggle markup or control characters into the terminal.
        name, reason = (
            Text("".join(c if c.isprintable() else "?" for c in text)) for text in (layer.name, layer.reason)
        )
        share = f"{layer.bytes / layer.bytes_dense:.1%}" if layer.bytes_dense else ""
        figures = f"{layer.sparsity:.1%}", f"{layer.bytes:,}", share, short(layer.macs), layer.format
        table.add_row(name, "×".join(map(str, layer.shape)), *figures, reason)
    console.print(table)
    sparse = sum(layer.format not in ("dense", "depthwise") for layer in exported.layers)
    for note in exported.notes:
        console.print(Text(note))
    console.print(
        Text(f"{sparse} of {len(exported.layers)} layers are sparse. Written: {out}, {out.stat().st_size:,} bytes.")
    )
