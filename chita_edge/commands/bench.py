"""`chita-edge bench`: measure a bundle on a device."""

from __future__ import annotations

from pathlib import Path

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--device", default="local", show_default=True, help="Where to measure, see `chita-edge devices`.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--samples", type=click.IntRange(50, 100_000), default=200, show_default=True)
@click.option("--duration", help="Go on for that long, such as 30m, for sustained load.")
@click.option("--cores", help="Cores to run on: 0-3, big or little.")
@click.option("--ort", type=click.Path(path_type=Path), help="ONNX Runtime for the device: an AAR or a library.")
@click.option("--profile", is_flag=True, help="Add to --out what each node of the models takes.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the raw samples and their context.")
@json_option
def bench(
    bundle: Path,
    device: str,
    threads: int,
    samples: int,
    duration: str | None,
    cores: str | None,
    ort: Path | None,
    profile: bool,
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
        profile=profile,
    )
    with ProgressBars() as progress:
        result = pipeline.bench(bundle, plan, device=device, out=out, progress=progress)
    if as_json:
        print_json(result.to_json())
    else:
        print_latency(result)
