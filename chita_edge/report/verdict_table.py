"""The table that `chita-edge compare` prints."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from chita_edge.report.terminal import data_console
from device_bench.judging.verdict import ModelVerdict, Verdict
from device_bench.short_numbers import figure


def print_verdict(verdict: Verdict) -> None:
    """Print a row a model, the notes, and the outcome as the last line, on standard output."""
    console = data_console()
    table = Table()
    for heading in ("model", "base", "new", "change", "interval", "outcome", "why"):
        numeric = heading in ("base", "new", "change", "interval")
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric)
    for model in verdict.models:
        table.add_row(Text(model.name), *_figures(model), model.outcome, Text(f"{model.reason}{model.sensitivity}"))
    console.print(table)
    for note in verdict.notes:
        console.print(Text(note))
    console.print(Text(verdict.lines()[-1]))


def _figures(model: ModelVerdict) -> tuple[str, str, str, str]:
    if model.ratio is None or model.base is None or model.new is None:
        return "", "", "", ""
    change, low, high = (bound - 1.0 for bound in (model.ratio.estimate, model.ratio.low, model.ratio.high))
    interval = "exact" if model.ratio.level == 1.0 else f"{low:+.1%} to {high:+.1%}"
    base, new = (figure(value, model.time_unit) for value in (model.base, model.new))
    return base, new, f"{change:+.1%}", interval
