"""`chita-edge verify`: check that no file of a bundle was changed, added or removed."""

from __future__ import annotations

from pathlib import Path

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def verify(bundle: Path, as_json: bool) -> None:
    """Check every file of BUNDLE against its manifest; find changed, added and missing files."""
    from chita_edge.bundle import verify_bundle

    manifest = verify_bundle(bundle)
    if as_json:
        print_json({"bundle": str(bundle), "ok": True, "files": len(manifest.files)})
    else:
        click.echo(f"{bundle}: {len(manifest.files)} files are as they were built.")
