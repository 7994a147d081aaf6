"""`chita-edge compare`: did it become slower?"""

from __future__ import annotations

from pathlib import Path

import click

from chita_edge.commands.json_output import json_option


@click.command()
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--max-regression", default="5%", show_default=True, help="How much slower is still allowed.")
@click.option("--paired", is_flag=True, help="Sample i of both files was taken in the same round.")
@json_option
@click.pass_context
def compare(context: click.Context, base: Path, new: Path, max_regression: str, paired: bool, as_json: bool) -> None:
    """Did NEW become slower than BASE? Both are files of `bench`; the exit code is 0, 3 or 4."""
    from device_bench.compare import run

    verdict = run(base, new, max_regression=max_regression, paired=paired)
    click.echo(verdict.to_json() if as_json else "\n".join(verdict.lines()))
    context.exit(verdict.exit_code)
