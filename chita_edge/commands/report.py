"""`chita-edge report`: the page of a bundle, with runs that are added, or of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("bundle")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--target", help="Of a network: the platform that it would be exported for. Default this machine's.")
@click.option("--out", type=click.Path(path_type=Path), help="Of a network: the page. Default NAME-TARGET.html.")
@click.option("--force", is_flag=True, help="Of a network: replace the page.")
@click.option("--device", help="Of a network: measure it there now, see `chita-edge devices`.")
@click.option("--weights", type=click.Path(path_type=Path), help="State dict of a network that is no file.")
@click.option("--model-arg", multiple=True, metavar="KEY=VALUE", help="Argument of a network's factory.")
@click.option("--input", multiple=True, metavar="NAME=SHAPE", help="Size of an open input: x=1x3x320x320.")
@json_option
def report(
    bundle: str,
    runs: tuple[Path, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Take results files (RUNS) into BUNDLE's history and write its report.html anew.

    Each run is kept under its file's name, with a number behind it where the bundle has another run of that name; a run
    that is there already is not taken twice.

    BUNDLE may be a network that `chita-edge export` takes, too, such as FILE.onnx: its page lists the layers as they
    would be exported, with their sizes, multiply-adds and reasons, and shows RUNS of `chita-edge bench`.
    """
    from chita_edge.deploy.dense import is_network

    if is_network(bundle):
        _of_network(bundle, runs, as_json, **options)
    else:
        _of_bundle(Path(bundle), runs, as_json, options)


def _of_bundle(bundle: Path, runs: tuple[Path, ...], as_json: bool, options: dict[str, Any]) -> None:
    from chita_edge.errors import UsageError
    from chita_edge.report.bundle_page import write_report

    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given and bundle.is_dir():
        raise UsageError(f"{bundle} is a bundle, and {given[0]} is of networks; leave it out.")
    written = write_report(bundle, runs)
    if as_json:
        taken = [{"file": str(run.given), "kept_as": run.kept_as, "was_there": run.was_there} for run in written.taken]
        print_json({"bundle": str(bundle), "report": str(written.page), "taken": taken, "runs": list(written.runs)})
    else:
        for run in written.taken:
            click.echo(f"{run.given}: {'was there already' if run.was_there else 'taken'} as {run.kept_as}")
        click.echo(str(written.page))


def _of_network(
    model: str, runs: tuple[Path, ...], as_json: bool, *, model_arg: tuple[str, ...], input: tuple[str, ...],  # noqa: A002
    **options: Any,
) -> None:  # fmt: skip
    from chita_edge.model_arguments import parse_arguments
    from chita_edge.report.network_page import report_network
    from chita_edge.report.terminal import ProgressBars
    from device_bench.plan import parse_input_shapes

    with ProgressBars() as progress:
        written = report_network(
            model,
            runs,
            sizes=parse_input_shapes(input),
            arguments=parse_arguments(model_arg),
            progress=progress,
            **options,
        )
    if as_json:
        print_json(written.to_json())
    else:
        click.echo(str(written.page))
