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
@click.option(
    "--processes",
    type=click.IntRange(1, 100),
    help="Processes that take as many samples each, to show what differs between them; 3 by ssh and adb, else 1.",
)
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=SHAPE", help="Size of an input that is open: x=1x3x320x320."
)
@click.option("--weights", type=click.Path(path_type=Path), help="State dict of a network that is no file.")
@click.option("--model-arg", multiple=True, metavar="KEY=VALUE", help="Argument of a network's factory.")
@click.option("--duration", help="Go on for that long, such as 30m, for sustained load.")
@click.option("--cores", help="Cores to run on: 0-3, big or little.")
@click.option("--ort", type=click.Path(path_type=Path), help="ONNX Runtime for the device: an AAR or a library.")
@click.option("--profile", is_flag=True, help="Add to --out what each node of the models takes.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the raw samples and their context.")
@click.option(
    "--compare", "baseline", type=click.Path(path_type=Path), help="Results file to hold the new ones against."
)
@click.option("--against", type=click.Path(path_type=Path), help="Another bundle, measured in turns with BUNDLE.")
@click.option("--max-regression", default="2%", show_default=True, help="How much slower is allowed.")
@json_option
@click.pass_context
def bench(
    context: click.Context,
    bundle: Path,
    device: str,
    threads: int,
    samples: int,
    processes: int | None,
    inputs: tuple[str, ...],
    weights: Path | None,
    model_arg: tuple[str, ...],
    duration: str | None,
    cores: str | None,
    ort: Path | None,
    profile: bool,
    out: Path | None,
    baseline: Path | None,
    against: Path | None,
    max_regression: str,
    as_json: bool,
) -> None:
    """Measure the dense and the sparse model of BUNDLE, interleaved, on a device.

    BUNDLE may be a network that `chita-edge export` takes, too, such as FILE.onnx: it is measured as it is and as it
    would be exported.

    With --compare (samples that were taken before) or --against (another bundle; only the sparse models of both are
    measured) the exit code is 0, 3 for a regression, which a second run has confirmed, or 4 when the samples do not
    tell.
    """
    from chita_edge.deploy.dense import is_network
    from chita_edge.errors import UsageError
    from chita_edge.latency.gate import bench_against
    from chita_edge.latency.measure import measure_bundle
    from chita_edge.latency.network import measure_network
    from chita_edge.latency.side_by_side import bench_side_by_side
    from chita_edge.latency.summary import summarise
    from chita_edge.model_arguments import parse_arguments
    from chita_edge.report.build_table import print_latency
    from chita_edge.report.terminal import ProgressBars
    from chita_edge.report.verdict_table import print_verdict
    from device_bench import BenchPlan
    from device_bench.plan import parse_cores, parse_duration, parse_input_shapes

    if baseline is not None and against is not None:
        raise UsageError(
            "New samples are held against a file or another bundle; give --compare or --against, not both."
        )
    duration_s = parse_duration(duration) if duration else 0.0
    plan = BenchPlan(
        threads=threads,
        samples=samples,
        duration_s=duration_s,
        time_limit_s=3600.0 + 1.5 * duration_s,
        cores=parse_cores(cores) if cores else None,
        ort=ort,
        profile=profile,
        processes=processes,
        input_shapes=parse_input_shapes(inputs),
    )
    of_network = is_network(str(bundle))
    if not of_network and (weights is not None or model_arg):
        raise UsageError(f"{bundle} is a bundle, which holds its networks; leave out --weights and --model-arg.")
    if of_network and (baseline is not None or against is not None):
        raise UsageError("--compare and --against hold bundles against each other; build one of the network first.")
    if against is not None:
        with ProgressBars() as progress:
            sides = bench_side_by_side(
                against, bundle, plan, device=device, max_regression=max_regression, out=out, progress=progress
            )
        if as_json:
            print_json({"verdict": sides.document()})
        else:
            print_verdict(sides)
        context.exit(sides.exit_code)
    verdict = None
    with ProgressBars() as progress:
        if of_network:
            measurement = measure_network(
                str(bundle),
                plan,
                device=device,
                weights=weights,
                arguments=parse_arguments(model_arg),
                out=out,
                progress=progress,
            )
        elif baseline is None:
            measurement = measure_bundle(bundle, plan, device=device, out=out, progress=progress)
        else:
            gated = bench_against(
                bundle, baseline, plan, device=device, max_regression=max_regression, out=out, progress=progress
            )
            measurement, verdict = gated.measurement, gated.verdict
    latency = summarise(measurement)
    if as_json:
        print_json({**latency.to_json(), **({"verdict": verdict.document()} if verdict else {})})
    else:
        print_latency(latency)
        if verdict:
            print_verdict(verdict)
    if verdict:
        context.exit(verdict.exit_code)
