from pathlib import Path

import pytest
from command_line import Done, Run, run_command


@pytest.fixture
def chita_edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in the test's folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Done:
        return run_command(capsys, *arguments, **environment)

    return run
