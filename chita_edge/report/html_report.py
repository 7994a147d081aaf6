"""HTML of a bundle's page: one file, readable on a phone, that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chita_edge.report.html_charts import distributions, trend
from chita_edge.report.html_layers import LayerMilliseconds, layers_table
from chita_edge.report.html_text import NOTHING, Table, code, mapping, megabytes, moment, percent
from device_bench.short_numbers import short

_USUAL = (("dense", "sparse"), ("dense", "int8", "sparse"))
_MOST_CHARTS = 12
_SHARES = ("accuracy", "agreement", "relative error")
_SUBTITLE = ("dtype", "method", "structure", "sparsity", "allocation", "calibration_images", "values", "seed")


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
    layer_ms: LayerMilliseconds | None = None


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
    options = _options(mapping(manifest.get("config")))
    times = next((run.layer_ms for run in runs if run.layer_ms), None)
    versions = mapping(manifest.get("versions"))
    return environment.get_template(
        "report.html.j2"
    ).render(
        title=f"{options.get('model', 'network')} for {_option(options, 'target') or 'devices'}",
        subtitle=", ".join(
            f"{name.replace('_', ' ')} {value}" for name in _SUBTITLE if (value := _option(options, name))
        ),
        options=Table(
            ("option", "value"), [[name, options[name]] for name in sorted(options)], words=("option", "value")
        ),
        figures=_figures(manifest, runs),
        notes=[code(str(sentence)) for sentence in manifest.get("notes") or ()],
        not_measured=[code(str(sentence)) for sentence in manifest.get("not_measured") or ()],
        of_bundle=manifest.get("kind") != "network",
        runs=[
            {
                "device": run.device,
                "date": moment(run.date),
                "description": run.description,
                "warnings": list(run.warnings),
                "chart": Markup(distributions(run.samples, run.unit)),  # noqa: S704 (its words are escaped there)
            }
            for run in runs[:_MOST_CHARTS]
        ],
        uncharted=max(0, len(runs) - _MOST_CHARTS),
        history=_history(runs),
        trend=Markup(trend(_trend(runs), runs[0].unit if runs else "ms")),  # noqa: S704 (its words are escaped there)
        trend_of=runs[0].device if runs else "",
        layers=layers_table(manifest.get("layers"), times),
        candidates=_candidates(manifest),
        reason=str(manifest.get("reason") or ""),
        times=_about(times),
        versions=", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    )


def _options(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The configuration's options that are set, those of its tables by dotted names."""
    options: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            options |= _options(value, f"{prefix}{key}.")
        elif value is not None:
            options[f"{prefix}{key}"] = str(value)
    return options


def _option(options: Mapping[str, str], name: str) -> str | None:
    """The option of this name, in whichever table it is first."""
    return next((value for key, value in options.items() if key.rpartition(".")[2] == name), None)


def _figures(manifest: Mapping[str, Any], runs: Sequence[ReportRun]) -> list[dict[str, str]]:
    size = mapping(manifest.get("size_bytes"))
    figures = [
        _figure("sparsity", percent(manifest.get("sparsity"), 0), f"of the {_counted(manifest)} weights are zero"),
        *([] if manifest.get("kind") == "network" else [_judged(manifest)]),
        _figure("file", megabytes(size.get("sparse")), _beside(size, megabytes)),
    ]
    # At a glance a time is shown if there is one; counts and estimates are called what they are.
    shown = next((run for run in runs if run.unit == "ms"), runs[0] if runs else None)
    if shown and {"dense", "sparse"} <= set(shown.samples):
        sparse = float(np.median(shown.samples["sparse"]))
        timed = shown.unit == "ms"
        place = f"{'p50 ' if timed else ''}on {_place(shown)}"
        what, unit = ("latency", " ms") if timed else (shown.unit, "")
        medians = {name: float(np.median(shown.samples[name])) for name in ("dense", "int8") if name in shown.samples}
        others = _beside(medians, lambda value: f"{short(value)}{unit}")
        figures.append(_figure(what, f"{short(sparse)}{unit}", f"{others}, {place}"))
    if shown and shown.speedup:
        estimate, low, high = shown.speedup
        what = "speedup" if shown.unit == "ms" else f"{shown.unit}, dense over sparse"
        figures.append(_figure(what, f"{estimate:.2f}×", f"{low:.2f} to {high:.2f} on {_place(shown)}"))
    return figures


def _counted(manifest: Mapping[str, Any]) -> str:
    """The weights that the share of zeros is of."""
    return "layers'" if manifest.get("kind") == "network" else "prunable"


def _judged(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the networks were judged by: accuracy, another metric, or how close they are to the dense one."""
    figures = mapping(manifest.get("metric")) or {"name": "accuracy", **mapping(manifest.get("accuracy"))}
    share = figures.get("name") in _SHARES

    def form(value: Any) -> str:
        return percent(value, 2) if share or not isinstance(value, int | float) else short(float(value))

    return _figure(str(figures.get("name")), form(figures.get("sparse")), _beside(figures, form))


def _beside(figures: Mapping[str, Any], form: Callable[[Any], str]) -> str:
    """The baselines' figures."""
    int8 = f", ORT int8 {form(figures['int8'])}" if "int8" in figures else ""
    return f"dense {form(figures.get('dense'))}{int8}"


def _place(run: ReportRun) -> str:
    """Device of a run; a machine that has no name but "local" by its processor as well."""
    processor = run.description.split(",")[0]
    return f"{run.device} ({processor})" if run.device == "local" and processor else run.device


def _about(times: LayerMilliseconds | None) -> str:
    if times is None:
        return ""
    return (
        f"Milliseconds are from a profiled session on {times.device}. Profiling slows "
        "every node down, so they say where the time goes and add up to more than the latency above."
    )


def _trend(runs: Sequence[ReportRun]) -> dict[str, list[float]]:
    """The medians of the newest run's device over time, oldest first, for each of its models."""
    if not runs:
        return {}
    alike = [run for run in reversed(runs) if (run.device, run.unit) == (runs[0].device, runs[0].unit)]
    return {
        name: [float(np.median(run.samples[name])) for run in alike if name in run.samples] for name in runs[0].samples
    }


def _candidates(manifest: Mapping[str, Any]) -> Table:
    """The networks that were looked at, from the fastest."""
    found = manifest.get("candidates")
    rows = []
    for one in found if isinstance(found, list | tuple) else ():
        row = mapping(one)
        known = {key: row.get(key) for key in ("sparsity", "predicted", "metric", "drop")}
        told = {key: short(value) if isinstance(value, float | int) else NOTHING for key, value in known.items()}
        chosen = "chosen" if row.get("chosen") is True else "draft" if row.get("draft") is True else ""
        rows.append(
            [*(str(row.get(key, NOTHING)) for key in ("dtype", "structure")), percent(known["sparsity"], 0),
             told["predicted"], told["metric"], told["drop"], chosen]
        )  # fmt: skip
    unit = str(mapping(found[0]).get("unit", "")) if rows and isinstance(found, list | tuple) else ""
    return Table(("dtype", "structure", "zeros", f"predicted {unit}".strip(), "metric", "lower by", ""), rows)


def _figure(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _history(runs: Sequence[ReportRun]) -> Table:
    """A row a run: the figures of its models in the models' order, which is named where it is another than usual."""
    orders = {tuple(run.samples) for run in runs}
    usual = next(iter(orders)) if len(orders) == 1 else ()
    others = usual not in _USUAL
    rows = []
    for run in runs:
        samples = [np.asarray(taken, dtype=np.float64) for taken in run.samples.values()]
        p50, p90 = (" → ".join(short(float(np.quantile(taken, q))) for taken in samples) for q in (0.5, 0.9))
        least = " → ".join(short(float(taken.min())) for taken in samples)
        counts = " → ".join(sorted({str(len(taken)) for taken in samples}))
        speedup = f"{run.speedup[0]:.2f}×" if run.speedup and run.unit == "ms" else ""
        models = (" → ".join(run.samples),) if others else ()
        rows.append([run.label, run.device, run.date[:10], *models, p50, p90, least, run.unit, counts, speedup])
    pair = "" if others else f", {' → '.join(usual)}"
    models = ("models",) if others else ()
    headings = ("run", "device", "date", *models, f"p50{pair}", "p90", "min", "unit", "samples", "speedup")
    return Table(headings, rows, words=("run", "device", "models"))
