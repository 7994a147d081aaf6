from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_network
from command_line import Done, Run, run_command
from quick_export import parse_functions_once

from chita_edge.models import MODELS


@pytest.fixture(scope="session", autouse=True)
def _functions_parsed_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        parse_functions_once(patch)
        yield


@pytest.fixture
def chita_edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in the test's folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Done:
        return run_command(capsys, *arguments, **environment)

    return run


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Weights and images of a network that is built in a second."""
    return tiny_network.write_inputs(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The same, and the network is registered while the test lasts."""
    monkeypatch.setitem(MODELS, tiny_network.NAME, tiny_network.ENTRY)
    return tiny_files
