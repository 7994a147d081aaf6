"""Charts as SVG text, for a page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

_WIDTH, _HEIGHT, _AXIS, _LINE, _BINS = 420, 170, 26, 17, 48
COLOURS = ("#7a8599", "#0b7a75", "#b3541e", "#5b4b8a")


def distributions(series: Mapping[str, Sequence[float]], unit: str = "ms") -> str:
    """Overlaid histograms of samples over one axis, each named, with a line at its median.

    The axis ends at the 99th percentile of all, so that one outlier does not flatten everything; what lies beyond is
    counted in the last bin. ValueError if there is nothing to draw.
    """
    if not series or not all(len(samples) for samples in series.values()):
        raise ValueError("there are no samples to draw")
    everything = np.concatenate([np.asarray(samples, dtype=np.float64) for samples in series.values()])
    low, high = float(everything.min()), float(np.quantile(everything, 0.99))
    if high <= low:
        high = low * 1.001 + 1e-9
    edges = np.linspace(low, high, _BINS + 1)
    counts = {
        name: np.histogram(np.clip(samples, low, high), edges)[0] / len(samples) for name, samples in series.items()
    }
    tallest = max(float(count.max()) for count in counts.values())
    plot, head = _HEIGHT - _AXIS, _LINE * len(series)
    parts = []
    for row, ((name, samples), colour) in enumerate(
        zip(series.items(), COLOURS * (1 + len(series) // len(COLOURS)), strict=False)
    ):
        for bin_number, share in enumerate(counts[name]):
            if share:
                bar = float(share) / tallest * max(plot - head - 4, 20)
                x, width = _WIDTH * bin_number / _BINS, _WIDTH / _BINS
                parts.append(
                    f'<rect x="{x:.1f}" y="{plot - bar:.1f}" width="{width:.1f}" height="{bar:.1f}" '
                    f'fill="{colour}" fill-opacity="0.55"/>'
                )
        middle = float(np.median(samples))
        x = min(max((middle - low) / (high - low), 0.0), 1.0) * _WIDTH
        y = _LINE * (row + 1) - 4  # a line of its own for each name, so that close medians stay readable
        anchor, gap = ("start", 4) if x < _WIDTH / 2 else ("end", -4)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 10}" y2="{plot}" stroke="{colour}" stroke-width="2"/>')
        label = f"{escape(name)} {middle:.3g} {unit}"
        parts.append(f'<text x="{x + gap:.1f}" y="{y}" text-anchor="{anchor}" fill="{colour}">{label}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        place = f'x="{share * _WIDTH:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}"'
        parts.append(f'<text {place} fill="currentColor">{low + share * (high - low):.3g}</text>')
    names = ", ".join(escape(name) for name in series)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="latency distributions of {names} in {unit}">'
        f'<line x1="0" x2="{_WIDTH}" y1="{plot}" y2="{plot}" stroke="currentColor"/>{"".join(parts)}</svg>'
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
        label = f"{escape(name)} {values[-1]:.3g} {unit}"
        parts.append(f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="end" fill="{colour}">{label}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="median of {longest} runs, oldest first">'
        f'<line x1="0" x2="{_WIDTH}" y1="{plot}" y2="{plot}" stroke="currentColor"/>{"".join(parts)}'
        f'<text x="0" y="{_HEIGHT - 8}" fill="currentColor">oldest run</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 8}" text-anchor="end" fill="currentColor">newest</text></svg>'
    )
