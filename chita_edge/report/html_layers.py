"""Table of layers in the page: sparsity, time and decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chita_edge.report.html_text import NOTHING, Table, count, mapping, milliseconds, percent

_HEADINGS = ("layer", "shape", "sparsity", "format", "bytes", "MACs")


@dataclass(frozen=True)
class LayerMilliseconds:
    """Milliseconds of each layer in the dense and the sparse model, of all that is in no layer, and where it ran.

    merged: the layers that run as one with a later one, whose times in either model are those of all of them together.
    """

    device: str
    dense: Mapping[str, float] = field(default_factory=dict)
    sparse: Mapping[str, float] = field(default_factory=dict)
    other_dense: float | None = None
    other_sparse: float | None = None
    merged: Mapping[str, str] = field(default_factory=dict)


def layers_table(layers: object, times: LayerMilliseconds | None) -> Table:
    """Table with a row for each layer of the manifest; with `times` a column for them and a last row for all other
    nodes.
    """
    entries = [layer for layer in layers if isinstance(layer, Mapping)] if isinstance(layers, Sequence) else []
    rows = [_row(layer, times) for layer in entries]
    if times and rows:
        rest = f"{milliseconds(times.other_dense)} → {milliseconds(times.other_sparse)}"
        rows.append(["all other nodes", *[""] * (len(_HEADINGS) - 1), rest, ""])
    headings = (*_HEADINGS, *(("ms",) if times else ()), "why")
    return Table(headings, rows, words=("layer", "why"), bar="sparsity")


def _change(pair: Mapping[str, Any]) -> str:
    return f"{count(pair.get('dense'))} → {count(pair.get('sparse'))}"


def _row(layer: Mapping[str, Any], times: LayerMilliseconds | None) -> list[str]:
    name, shape = str(layer.get("name", NOTHING)), layer.get("shape")
    sparsity = layer.get("sparsity")
    row = [
        name,
        "×".join(str(size) for size in shape) if isinstance(shape, list | tuple) else NOTHING,
        percent(min(max(sparsity, 0.0), 1.0), 0) if isinstance(sparsity, float | int) else NOTHING,
        str(layer.get("format", NOTHING)),
        _change(mapping(layer.get("bytes"))),
        _change(mapping(layer.get("macs"))),
    ]
    if times and name in times.merged:
        row.append(f"with {times.merged[name]}")
    elif times:
        row.append(f"{milliseconds(times.dense.get(name))} → {milliseconds(times.sparse.get(name))}")
    return [*row, str(layer.get("reason", ""))]
