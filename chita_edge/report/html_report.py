"""``report.html``: one self-contained page, readable on a phone, that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chita_edge.report.html_charts import distributions

_NOTHING = "–"


@dataclass(frozen=True)
class ReportRun:
    """One measurement: samples in ``unit`` by model, and what is to be said about it."""

    label: str
    device: str
    date: str
    description: str
    samples: Mapping[str, Sequence[float]]
    unit: str = "ms"
    speedup: tuple[float, float, float] | None = None
    """Estimate, low and high of dense over sparse."""
    warnings: Sequence[str] = ()


def render_report(manifest: Mapping[str, Any], runs: Sequence[ReportRun]) -> str:
    """The page for a bundle's manifest and its runs, the newest first.

    Whatever the manifest lacks, or holds in another form, is shown as missing; all text is escaped.
    """
    environment = Environment(
        loader=PackageLoader("chita_edge.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    config = _table(manifest.get("config"))
    layers = manifest.get("layers")
    versions = _table(manifest.get("versions"))
    return environment.get_template("report.html.j2").render(
        title=f"{config.get('model', 'network')} for {config.get('target', 'devices')}",
        subtitle=", ".join(f"{key} {value}" for key, value in sorted(config.items()) if key not in ("model", "target")),
        figures=_figures(manifest, runs),
        not_measured=[str(sentence) for sentence in manifest.get("not_measured") or ()],
        runs=[
            {
                "device": run.device,
                "date": run.date,
                "description": run.description,
                "warnings": list(run.warnings),
                "chart": Markup(distributions(run.samples, run.unit)),  # noqa: S704 (its words are escaped there)
            }
            for run in runs
        ],
        history=[row for run in runs for row in _history(run)],
        layers=[_layer(layer) for layer in layers if isinstance(layer, Mapping)] if isinstance(layers, list) else [],
        versions=", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    )


def _figures(manifest: Mapping[str, Any], runs: Sequence[ReportRun]) -> list[dict[str, str]]:
    accuracy, size = _table(manifest.get("accuracy")), _table(manifest.get("size_bytes"))
    figures = [
        _figure("sparsity", _percent(manifest.get("sparsity"), 0), "of the prunable weights are zero"),
        _figure("accuracy", _percent(accuracy.get("sparse"), 2), f"dense {_percent(accuracy.get('dense'), 2)}"),
        _figure("file", _bytes(size.get("sparse")), f"dense {_bytes(size.get('dense'))}"),
    ]
    if runs and runs[0].speedup:
        estimate, low, high = runs[0].speedup
        figures.append(_figure("speedup", f"{estimate:.2f}×", f"{low:.2f} to {high:.2f} on {runs[0].device}"))
    return figures


def _figure(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _history(run: ReportRun) -> list[list[str]]:
    rows = []
    for name, samples in run.samples.items():
        p50, p90 = np.quantile(np.asarray(samples, dtype=np.float64), (0.5, 0.9))
        speedup = f"{run.speedup[0]:.2f}×" if run.speedup and name == "sparse" else ""
        figures = [f"{value:.4g} {run.unit}" for value in (p50, p90, min(samples))]
        rows.append([run.label, run.device, name, *figures, str(len(samples)), speedup])
    return rows


def _layer(layer: Mapping[str, Any]) -> dict[str, str]:
    sparsity, shape = layer.get("sparsity"), layer.get("shape")
    share = float(sparsity) if isinstance(sparsity, int | float) and isfinite(sparsity) else 0.0
    sizes, macs = _table(layer.get("bytes")), _table(layer.get("macs"))
    return {
        "name": str(layer.get("name", _NOTHING)),
        "shape": "×".join(str(size) for size in shape) if isinstance(shape, list) else _NOTHING,
        "share": f"{100 * min(max(share, 0.0), 1.0):.0f}",
        "sparsity": _percent(sparsity, 0),
        "format": str(layer.get("format", _NOTHING)),
        "bytes": f"{_count(sizes.get('dense'))} → {_count(sizes.get('sparse'))}",
        "macs": f"{_count(macs.get('dense'))} → {_count(macs.get('sparse'))}",
        "reason": str(layer.get("reason", "")),
    }


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _percent(value: Any, digits: int) -> str:
    return f"{100 * value:.{digits}f} %" if _is_number(value) else _NOTHING


def _count(value: Any) -> str:
    return f"{value:,}".replace(",", " ") if _is_number(value) else _NOTHING


def _bytes(value: Any) -> str:
    return f"{value / 1e6:.2f} MB" if _is_number(value) else _NOTHING
