"""`chita-edge report`: write the page about a bundle anew."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
def report(bundle: Path, runs: tuple[Path, ...]) -> None:
    """Take results files into BUNDLE's history and write its report.html anew."""
    from chita_edge.bundle_report import write_report

    click.echo(str(write_report(bundle, runs)))
