"""`chita-edge compare`: tell whether a model became slower."""

from __future__ import annotations

from pathlib import Path

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--max-regression", default="2%", show_default=True, help="How much slower is still allowed.")
@click.option("--paired", is_flag=True, help="Sample i of both files was taken in the same round.")
@click.option("--again", "second", type=click.Path(path_type=Path), help="Results file of a second run of NEW.")
@click.option("--rerun", type=click.Path(path_type=Path), help="Bundle of NEW, measured again if it seems slower.")
@click.option("--device", help="Where --rerun measures. Default local.")
@click.option("--control", default="dense", show_default=True, help="Model that tells whether the machine changed.")
@json_option
@click.pass_context
def compare(
    context: click.Context,
    base: Path,
    new: Path,
    max_regression: str,
    paired: bool,
    second: Path | None,
    rerun: Path | None,
    device: str | None,
    control: str,
    as_json: bool,
) -> None:
    """Did NEW become slower than BASE? Both are files of `bench`; the exit code is 0, 3 (yes) or 4 (cannot tell).

    A regression has to be confirmed by a second run (--again, --rerun), or, with neither, by both halves of NEW.
    """
    from chita_edge.latency.gate import compare_files
    from chita_edge.report.terminal import ProgressBars
    from chita_edge.report.verdict_table import print_verdict

    with ProgressBars() as progress:
        verdict = compare_files(
            base,
            new,
            max_regression=max_regression,
            paired=paired,
            control=control,
            second=second,
            rerun=rerun,
            device=device,
            progress=progress,
        )
    if as_json:
        print_json(verdict.document())
    else:
        print_verdict(verdict)
    context.exit(verdict.exit_code)
