"""Charts as SVG text, for a page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from device_bench.short_numbers import short

_WIDTH, _HEIGHT, _AXIS, _LINE, _BINS = 420, 170, 26, 17, 48
COLOURS = ("#7a8599", "#0b7a75", "#b3541e", "#5b4b8a")


def distributions(series: Mapping[str, Sequence[float]], unit: str = "ms") -> str:
    """Overlaid histograms of samples over one axis, each named, with a line at its median.

    The axis ends at the 99th percentile of all, and at twice the largest median, so that no outlier flattens
    everything; what lies beyond is counted in the last bin. Samples that are all one number become bars from zero.
    ValueError if there is nothing to draw.
    """
    if not series or not all(len(samples) for samples in series.values()):
        raise ValueError("there are no samples to draw")
    everything = np.concatenate([np.asarray(samples, dtype=np.float64) for samples in series.values()])
    if all(min(samples) == max(samples) for samples in series.values()):
        return _amounts({name: float(samples[0]) for name, samples in series.items()}, unit)
    middles = {name: float(np.median(samples)) for name, samples in series.items()}
    low, high = float(everything.min()), min(float(np.quantile(everything, 0.99)), 2 * max(middles.values()))
    if high <= low:
        high = low * 1.001 + 1e-9
    edges = np.linspace(low, high, _BINS + 1)
    counts = {
        name: np.histogram(np.clip(samples, low, high), edges)[0] / len(samples) for name, samples in series.items()
    }
    tallest = max(float(count.max()) for count in counts.values())
    plot, head = _HEIGHT - _AXIS, _LINE * len(series)
    parts = []
    for row, ((name, middle), colour) in enumerate(
        zip(middles.items(), COLOURS * (1 + len(series) // len(COLOURS)), strict=False)
    ):
        for bin_number, share in enumerate(counts[name]):
            if share:
                bar = float(share) / tallest * max(plot - head - 4, 20)
                x, width = _WIDTH * bin_number / _BINS, _WIDTH / _BINS
                parts.append(
                    f'<rect x="{x:.1f}" y="{plot - bar:.1f}" width="{width:.1f}" height="{bar:.1f}" '
                    f'fill="{colour}" fill-opacity="0.55"/>'
                )
        x = min(max((middle - low) / (high - low), 0.0), 1.0) * _WIDTH
        y = _LINE * (row + 1) - 4  # a line of its own for each name, so that close medians stay readable
        anchor, gap = ("start", 4) if x < _WIDTH / 2 else ("end", -4)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 10}" y2="{plot}" stroke="{colour}" stroke-width="2"/>')
        label = f"{escape(name)} {short(middle)} {escape(unit)}"
        parts.append(f'<text x="{x + gap:.1f}" y="{y}" text-anchor="{anchor}" fill="{colour}">{label}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        place = f'x="{share * _WIDTH:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}"'
        beyond = "≥ " if share == 1.0 and everything.max() > high else ""
        parts.append(f'<text {place} fill="currentColor">{beyond}{short(low + share * (high - low))}</text>')
    names = ", ".join(escape(name) for name in series)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="latency distributions of {names} in {escape(unit)}">'
        f'<line x1="0" x2="{_WIDTH}" y1="{plot}" y2="{plot}" stroke="currentColor"/>{"".join(parts)}</svg>'
    )


def _amounts(values: Mapping[str, float], unit: str) -> str:
    """A bar from zero for each of some numbers."""
    top, height = max(*values.values(), 1e-30), 2 * _LINE + 6
    parts = []
    for row, (name, value) in enumerate(values.items()):
        y, colour = row * height, COLOURS[row % len(COLOURS)]
        label = f"{escape(name)} {short(value)} {escape(unit)}"
        parts.append(f'<text x="0" y="{y + _LINE - 3}" fill="currentColor">{label}</text>')
        parts.append(
            f'<rect x="0" y="{y + _LINE}" width="{_WIDTH * value / top:.1f}" height="{_LINE}" fill="{colour}"/>'
        )
    names = ", ".join(escape(name) for name in values)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height * len(values)}" role="img" aria-label="{escape(unit)} of {names}">'
        f"{''.join(parts)}</svg>"
    )


def trend(series: Mapping[str, Sequence[float]], unit: str = "ms") -> str:
    """Medians of runs over time as a line for each model, from zero up; empty for less than two runs."""
    longest = max((len(values) for values in series.values()), default=0)
    if longest < 2:
        return ""
    top = max(max(values) for values in series.values() if len(values))
    plot = _HEIGHT - _AXIS
    parts = []
    for (name, values), colour in zip(series.items(), COLOURS * (1 + len(series) // len(COLOURS)), strict=False):
        if not len(values):
            continue
        spots = [
            (6 + (_WIDTH - 12) * at / (longest - 1), plot - value / top * (plot - 18))
            for at, value in enumerate(values)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
        x, y = spots[-1]
        label = f"{escape(name)} {short(values[-1])} {escape(unit)}"
        parts.append(f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="end" fill="{colour}">{label}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="median of {longest} runs, oldest first">'
        f'<line x1="0" x2="{_WIDTH}" y1="{plot}" y2="{plot}" stroke="currentColor"/>{"".join(parts)}'
        f'<text x="0" y="{_HEIGHT - 8}" fill="currentColor">oldest run</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 8}" text-anchor="end" fill="currentColor">newest</text></svg>'
    )
