"""The command line: verbs and options; what they do stands in the packages."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import click

from chita_edge.failures import reported
from chita_edge.version import __version__

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")


@click.group(context_settings={"auto_envvar_prefix": "CHITA_EDGE", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chita-edge")
def cli() -> None:
    """Prune a network, export it sparse, run it fast, and measure it where it will run.

    Data goes to standard output, progress to standard error. Exit codes: 0 ok, 1 failed, 2 usage, 5 device unavailable,
    6 bundle tampered, 130 interrupted; `compare` ends with 3 for a regression and 4 when it cannot tell.
    """


@cli.command()
@click.argument("model")
@click.option("--target", required=True, help="Platform that the bundle is for, such as arm64.")
@click.option("--sparsity", type=float, help="Share of zeros among the prunable weights, in [0, 1). Default 0.8.")
@click.option("--method", help="How weights are chosen: a solver of the pruning engine.")
@click.option("--structure", help="Sparsity pattern. Default unstructured.")
@click.option("--allocation", help="Budget over layers: balanced (default), global, uniform, erk.")
@click.option("--weights", type=click.Path(path_type=Path), help="State dict to prune instead of the embedded one.")
@click.option("--calibration-images", type=int, help="Labelled images that the pruner sees.")
@click.option("--seed", type=int, help="Draws the calibration images. Default 0.")
@click.option("--threads", type=int, help="Threads of the measurement. Default 1.")
@click.option("--samples", type=int, help="Latency samples of each model, at least 50.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the bundle. Default MODEL-TARGET.")
@click.option("--force", is_flag=True, help="Replace the bundle in that folder once the new one is complete.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file with these options.")
@_JSON
def build(
    model: str,
    target: str,
    weights: Path | None,
    out: Path | None,
    force: bool,
    config_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Prune MODEL for a target, export, check, measure and bundle it."""
    from chita_edge import pipeline
    from chita_edge.config import BuildConfig, read_toml, validated
    from chita_edge.report.build_table import print_build
    from chita_edge.report.terminal import ProgressBars

    # The command line wins over the environment (click reads both into `options`), and both over the file.
    from_file = read_toml(config_file) if config_file else {}
    given = {name: value for name, value in options.items() if value is not None}
    config = validated(BuildConfig, {**from_file, **given, "model": model, "target": target})
    folder = out or Path(f"{model}-{target}")
    with ProgressBars() as progress:
        result = pipeline.build(config, folder, weights=weights, force=force, progress=progress)
    if as_json:
        _print_json(result.to_json())
    else:
        print_build(result)


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--device", default="local", show_default=True, help="Where to measure, see `chita-edge devices`.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--samples", type=click.IntRange(50, 100_000), default=200, show_default=True)
@click.option("--duration", help="Go on for that long, such as 30m, for sustained load.")
@click.option("--cores", help="Cores to run on: 0-3, big or little.")
@click.option("--ort", type=click.Path(path_type=Path), help="ONNX Runtime for the device: an AAR or a library.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the raw samples and their context.")
@_JSON
def bench(
    bundle: Path,
    device: str,
    threads: int,
    samples: int,
    duration: str | None,
    cores: str | None,
    ort: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure the dense and the sparse model of BUNDLE, interleaved, on a device."""
    from chita_edge import pipeline
    from chita_edge.report.build_table import print_latency
    from chita_edge.report.terminal import ProgressBars
    from device_bench import Plan
    from device_bench.plan import parse_cores, parse_duration

    plan = Plan(
        threads=threads,
        samples=samples,
        duration_s=parse_duration(duration) if duration else 0.0,
        cores=parse_cores(cores) if cores else None,
        ort=ort,
    )
    with ProgressBars() as progress:
        result = pipeline.bench(bundle, plan, device=device, out=out, progress=progress)
    if as_json:
        _print_json(result.to_json())
    else:
        print_latency(result)


@cli.command()
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--max-regression", default="5%", show_default=True, help="How much slower is still allowed.")
@click.option("--paired", is_flag=True, help="Sample i of both files was taken in the same round.")
@_JSON
@click.pass_context
def compare(context: click.Context, base: Path, new: Path, max_regression: str, paired: bool, as_json: bool) -> None:
    """Did NEW become slower than BASE? Both are files of `bench`; the exit code is 0, 3 or 4."""
    from device_bench.compare import run

    verdict = run(base, new, max_regression=max_regression, paired=paired)
    click.echo(verdict.to_json() if as_json else "\n".join(verdict.lines()))
    context.exit(verdict.exit_code)


@cli.command()
@_JSON
def devices(as_json: bool) -> None:
    """List what can be measured on from here, and why the rest cannot."""
    from chita_edge.report.devices_table import device_rows, print_devices

    rows = device_rows()
    if as_json:
        _print_json(rows)
    else:
        print_devices(rows)


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
def report(bundle: Path, runs: tuple[Path, ...]) -> None:
    """Take results files into BUNDLE's history and write its report.html anew."""
    from chita_edge.bundle_report import write_report

    click.echo(str(write_report(bundle, runs)))


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@_JSON
def verify(bundle: Path, as_json: bool) -> None:
    """Check that every file of BUNDLE is the one that was built, and that there are no others."""
    from chita_edge.bundle import verify_bundle

    manifest = verify_bundle(bundle)
    if as_json:
        _print_json({"bundle": str(bundle), "ok": True, "files": len(manifest.files)})
    else:
        click.echo(f"{bundle}: {len(manifest.files)} files are as they were built.")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@_JSON
def inspect(file: Path, as_json: bool) -> None:
    """Show the layers of an ONNX FILE: op, shape, format, sparsity, bytes."""
    import exporters
    from chita_edge.report.inspect_table import inspection_json, print_inspection

    report = exporters.inspect(file)
    if as_json:
        _print_json(inspection_json(report))
    else:
        print_inspection(report)


@cli.command()
@_JSON
def models(as_json: bool) -> None:
    """List the networks that can be built."""
    from chita_edge.models import MODELS
    from chita_edge.report.models_table import model_rows, print_models

    if as_json:
        _print_json(model_rows(MODELS.values()))
    else:
        print_models(MODELS.values())


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def _terminate(_signum: int, _frame: Any) -> None:
    # A job that a CI system stops cleans up as after Ctrl-C.
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: every failure ends as one sentence on standard error and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(reported(lambda: cli(standalone_mode=False)))
