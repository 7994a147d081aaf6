"""Charts as SVG text, for a page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

_WIDTH, _HEIGHT, _AXIS, _BINS = 420, 150, 26, 48
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
    plot = _HEIGHT - _AXIS
    parts = []
    for (name, samples), colour in zip(series.items(), COLOURS * (1 + len(series) // len(COLOURS)), strict=False):
        for bin_number, share in enumerate(counts[name]):
            if share:
                bar = float(share) / tallest * (plot - 18)
                x, width = _WIDTH * bin_number / _BINS, _WIDTH / _BINS
                parts.append(
                    f'<rect x="{x:.1f}" y="{plot - bar:.1f}" width="{width:.1f}" height="{bar:.1f}" '
                    f'fill="{colour}" fill-opacity="0.55"/>'
                )
        middle = float(np.median(samples))
        x = min(max((middle - low) / (high - low), 0.0), 1.0) * _WIDTH
        anchor = "start" if x < _WIDTH / 2 else "end"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{plot}" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            f'<text x="{x:.1f}" y="11" text-anchor="{anchor}" fill="{colour}">{escape(name)} {middle:.3g} {unit}</text>'
        )
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        place = f'x="{share * _WIDTH:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}"'
        parts.append(f'<text {place} fill="currentColor">{low + share * (high - low):.3g}</text>')
    names = ", ".join(escape(name) for name in series)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="latency distributions of {names} in {unit}">'
        f'<line x1="0" x2="{_WIDTH}" y1="{plot}" y2="{plot}" stroke="currentColor"/>{"".join(parts)}</svg>'
    )
