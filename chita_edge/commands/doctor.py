"""`chita-edge doctor`: say what works on this machine."""

from __future__ import annotations

from dataclasses import asdict

import click

from chita_edge.commands.json_output import json_option, print_json


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check what works on this machine and say how to get the rest; exit code 1 if `build` cannot work."""
    from chita_edge.doctor import examine
    from chita_edge.report.doctor_table import print_findings

    findings = examine()
    healthy = all(finding.works for finding in findings if finding.needed)
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        print_findings(findings)
    context.exit(0 if healthy else 1)
