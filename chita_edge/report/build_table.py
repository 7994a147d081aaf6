"""The tables that `chita-edge build` and `chita-edge bench` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from chita_edge.deploy.candidates import Candidate
from chita_edge.deploy.metric import Metric
from chita_edge.deploy.result import BuildResult, BuiltLayer, Compared, Latency
from chita_edge.report.terminal import data_console


def print_build(result: BuildResult) -> None:
    """Print the layers, the totals, and what was measured and what was not, on standard output."""
    console = data_console()
    console.print(_layers(result))
    console.print(_totals(result))
    if result.candidates:
        console.print(candidates_table(result.candidates, result.metric))
    for line in _remarks(result):
        console.print(Text(line))


_TITLES = {"instructions": "Count", "cycles": "Estimate"}


def print_latency(latency: Latency) -> None:
    """Print one measurement on standard output."""
    console = data_console()
    described = f" ({latency.description})" if latency.description else ""
    counted = latency.unit != "ms"
    title = f"{_TITLES.get(latency.unit, 'Latency')} on {latency.device}{described}"
    table = Table(title=title, title_justify="left")
    for heading in ("", *(f"{figure} {latency.unit}" for figure in ("p50", "p90", "min"))):
        table.add_column(heading, justify="right" if heading else "left")
    for name in latency.p50.to_json():
        figures = (getattr(part, name) for part in (latency.p50, latency.p90, latency.min))
        table.add_row(name, *(f"{figure:,.0f}" if counted else f"{figure:.3f}" for figure in figures))
    console.print(table)
    if counted:
        what = "an estimate" if latency.unit == "cycles" else "a count"
        console.print(
            Text(f"Sparse needs 1/{latency.speedup:.2f} of dense's {latency.unit}; that is {what}, not a time.")
        )
    else:
        console.print(Text(_speedup(latency)))
    for warning in latency.warnings:
        console.print(Text(f"Warning: {warning}"))


def _layers(result: BuildResult) -> Table:
    table = Table(
        title=f"{result.model} for {result.target}, {result.dtype}, pruned by {result.method}", title_justify="left"
    )
    table.add_column("layer", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    for heading in ("sparsity", "bytes", "of dense", "MACs", "of dense"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("format")
    table.add_column("why", overflow="fold")
    for layer in result.layers:
        table.add_row(
            Text(layer.name),
            _shape(layer),
            f"{layer.sparsity:.1%}",
            f"{layer.bytes.sparse:,}",
            _share(layer.bytes.sparse, layer.bytes.dense),
            f"{layer.macs.sparse:,}",
            _share(layer.macs.sparse, layer.macs.dense),
            layer.format,
            Text(layer.reason),
        )
    return table


def _totals(result: BuildResult) -> Table:
    latency, accuracy, size = result.latency, result.accuracy, result.size_bytes
    macs = [sum(getattr(layer.macs, name) for layer in result.layers) for name in ("dense", "sparse")]
    table = Table(title="In total", title_justify="left")
    for heading in ("", "dense", "ORT int8", "sparse", ""):
        table.add_column(heading, justify="right" if heading else "left")
    metric = result.metric
    form = "{:.2%}" if metric.share else "{:.4g}"
    table.add_row(Text(metric.name), *_three(accuracy, form), metric.change(accuracy.dense, accuracy.sparse))
    table.add_row("file, bytes", *_three(size, "{:,}"), _share(size.sparse, size.dense))
    table.add_row("MACs", f"{macs[0]:,}", "", f"{macs[1]:,}", _share(macs[1], macs[0]))
    faster = f"{latency.speedup:.2f}× as fast"
    if latency.over_int8 is not None:
        faster += f", {latency.over_int8[0]:.2f}× as int8"
    table.add_row("latency p50, ms", *_three(latency.p50, "{:.3f}"), faster)
    table.add_row("latency p90, ms", *_three(latency.p90, "{:.3f}"), "")
    table.add_row("latency min, ms", *_three(latency.min, "{:.3f}"), "")
    return table


def _three(figures: Compared[Any], form: str) -> tuple[str, str, str]:
    """A figure of the dense network, of ONNX Runtime's int8 and of ours."""
    int8 = "" if figures.int8 is None else form.format(figures.int8)
    return form.format(figures.dense), int8, form.format(figures.sparse)


def _remarks(result: BuildResult) -> list[str]:
    latency = result.latency
    dropped = bool(result.dropped_runs)
    removed = any(layer.shape != layer.dense_shape for layer in result.layers)
    return [
        f"{result.metric.title}: on {result.judged_on}{_beside_dense(result)}.",
        *result.notes,
        *([f"Chosen: {result.reason}"] if result.reason else []),
        f"Sparsity: {result.sparsity:.2%} of the prunable weights are {'removed' if removed else 'zero'}.",
        _checked(result),
        f"Measured on {latency.device}: {latency.description}; {_speedup(latency)}",
        *result.remarks,
        *(f"Warning: {warning}" for warning in latency.warnings),
        *(f"Not measured: {sentence}" for sentence in result.not_measured),
        *([f"Gone: the replaced bundle's runs of another product, {', '.join(result.dropped_runs)}."] * dropped),
        f"Bundle: {result.bundle}",
    ]


def _beside_dense(result: BuildResult) -> str:
    """What is compared where no labels are."""
    if not result.metric.needs_dense:
        return "" if result.metric.better == "higher" else "; lower is better"
    what = "the share of samples with the dense network's top class"
    return f"; {what if result.metric.share and result.metric.better == 'higher' else 'of its outputs'}, no labels used"


def _checked(result: BuildResult) -> str:
    """What the check of the file found."""
    equal = [name for name, difference in result.agreement.items() if difference == 0]
    others = {name: difference for name, difference in result.agreement.items() if difference}
    near = f"{', '.join(others)} agree to {max(others.values()):.1e} of the largest logit" if others else ""
    if result.dtype == "int8" and equal:
        exact = f"{', '.join(equal)} equal the network's integers to the bit"
        return f"Checked: {exact}{'; ' if near else ''}{near}."
    worst = max(result.agreement.values())
    return f"Checked: {', '.join(result.agreement)} agree with torch to {worst:.1e} of the largest logit."


def candidates_table(candidates: Sequence[Candidate], metric: Metric) -> Table:
    """Accuracy against predicted time of the networks that were looked at."""
    table = Table(title="Candidates, on calibration samples that nothing was fitted on", title_justify="left")
    by = "points lower" if metric.share else "% worse"
    for heading in ("", "dtype", "structure", "zeros", f"predicted, {candidates[0].unit}", metric.name, by):
        table.add_column(Text(heading), justify="left" if heading in ("", "dtype", "structure") else "right")
    for one in candidates:
        found = ("not tried", "")
        if one.metric is not None and one.drop is not None:
            found = (metric.value(one.metric), f"{one.drop:.2f}{', draft' if one.draft else ''}")
        mark, zeros = "→" if one.chosen else "", f"{one.sparsity:.0%}"
        table.add_row(mark, one.dtype, one.structure, zeros, f"{one.predicted:,.3g}", *found)
    return table


def _shape(layer: BuiltLayer) -> str:
    shape, dense = ("×".join(map(str, shape)) for shape in (layer.shape, layer.dense_shape))
    return shape if shape == dense else f"{shape} of {dense}"


def _speedup(latency: Latency) -> str:
    low, high = latency.speedup_interval
    return (
        f"sparse is {latency.speedup:.2f} times as fast as ONNX Runtime's dense float32 (95 % interval {low:.2f} to "
        f"{high:.2f}; {latency.samples} interleaved samples each, {latency.threads} thread(s)){_beside_int8(latency)}."
    )


def _beside_int8(latency: Latency) -> str:
    if latency.over_int8 is None:
        return ""
    estimate, low, high = latency.over_int8
    return f", {estimate:.2f} times as fast as its int8 ({low:.2f} to {high:.2f})"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
