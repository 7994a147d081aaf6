"""`chita-edge report`: add runs to a bundle and write its page."""

from __future__ import annotations

from pathlib import Path

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@json_option
def report(bundle: Path, runs: tuple[Path, ...], as_json: bool) -> None:
    """Take results files (RUNS) into BUNDLE's history and write its report.html anew.

    Each run is kept under its file's name, with a number behind it where the bundle has another run of that name; a run
    that is there already is not taken twice.
    """
    from chita_edge.report.bundle_page import write_report

    written = write_report(bundle, runs)
    if as_json:
        taken = [{"file": str(run.given), "kept_as": run.kept_as, "was_there": run.was_there} for run in written.taken]
        print_json({"bundle": str(bundle), "report": str(written.page), "taken": taken, "runs": list(written.runs)})
    else:
        for run in written.taken:
            click.echo(f"{run.given}: {'was there already' if run.was_there else 'taken'} as {run.kept_as}")
        click.echo(str(written.page))
