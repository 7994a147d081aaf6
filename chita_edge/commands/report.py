"""`chita-edge report`: write the page about a bundle anew."""

from __future__ import annotations

from pathlib import Path

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@json_option
def report(bundle: Path, runs: tuple[Path, ...], as_json: bool) -> None:
    """Take results files into BUNDLE's history and write its report.html anew."""
    from chita_edge.bundle_report import history, write_report

    page = write_report(bundle, runs)
    if as_json:
        print_json({"bundle": str(bundle), "report": str(page), "runs": [path.stem for path in history(bundle)]})
    else:
        click.echo(str(page))
