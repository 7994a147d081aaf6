"""The README's snippets run, its names are public, and it stays short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from torch import nn

import runtimes
from chita_edge.cli import cli

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.strip().partition("&& ")[2] if "&& chita-edge" in line else line.strip()
    for line in TEXT.splitlines()
    if re.match(r" {4}(chita-edge|.*&& chita-edge) ", line)
]


def my_network() -> nn.Module:
    """Stands for the reader's own."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 1), nn.Flatten(), nn.Linear(32 * 64, 4))


def my_images() -> torch.Tensor:
    """Stands for the reader's own."""
    return torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_it_fits_on_a_page() -> None:
    assert len(TEXT.splitlines()) <= 90


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"my_network": my_network, "my_images": my_images}
    code = [text for language, text in BLOCKS if language == "python"]
    assert len(code) >= 2
    for text in code:
        exec(compile(text, str(README), "exec"), names)
    session = names["session"]
    outputs = session.run(None, {session.get_inputs()[0].name: my_images()[:1].numpy()})  # type: ignore[attr-defined]
    assert outputs[0].shape == (1, 4)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_takes_it(command: str) -> None:
    """Verbs and options exist and parse; files are not opened."""
    program, verb, *words = shlex.split(command)
    assert program == "chita-edge"
    chosen = cli.commands[verb]
    with chosen.make_context(verb, list(words), resilient_parsing=True) as context:
        options, rest, _ = chosen.make_parser(context).parse_args(list(words))
    assert not rest
    assert options


def test_there_are_commands_for_the_shell() -> None:
    assert len(COMMANDS) >= 3


def test_other_languages_use_what_a_bundle_and_the_library_have() -> None:
    kotlin = "".join(text for language, text in BLOCKS if language == "kotlin")
    cpp = "".join(text for language, text in BLOCKS if language == "cpp")
    assert f"/{runtimes.library().name}" in kotlin
    assert runtimes.library().name in cpp
    folders = [path for target in runtimes.TARGETS.values() for path in target.platforms]
    assert any(path.startswith("lib/android/arm64-v8a/") for path in folders)
    assert "lib/android/arm64-v8a" in kotlin


def test_linked_pages_exist() -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", TEXT):
        assert (README.parent / link).exists(), link
