"""What the documentation tells people to type exists: verbs, options, modules; the workflow is one."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chita_edge.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def workflow() -> dict[str, Any]:
    page = (ROOT / "docs" / "latency-gate.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    parsed = yaml.safe_load(text)
    assert isinstance(parsed, dict)
    return parsed


def typed(text: str) -> Iterator[list[str]]:
    """Every command line of ours in a page: in a code block or between back quotes."""
    blocks = re.findall(r"^(?: {4}|      - run: )(.+)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    for block in blocks:
        for command in block.split("#")[0].split("&&"):
            words = command.split()
            if words and words[0] == "chita-edge":
                yield shlex.split(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_of_ours_exists(page: Path) -> None:
    for words in typed(page.read_text()):
        if len(words) == 1 or words[1].startswith("-"):
            continue
        assert words[1] in cli.commands, words
        verb = cli.commands[words[1]]
        options = {name for parameter in verb.params for name in parameter.opts} | {"--help"}
        for word in words[2:]:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, words


def test_the_workflow_is_one_and_its_commands_exist() -> None:
    document = workflow()
    assert document["name"] == "latency"
    assert True in document  # YAML 1.1 reads the key `on` as true, as GitHub's users know
    allowed = {"uses", "run", "with", "if", "name"}
    commands: list[list[str]] = []
    for job in document["jobs"].values():
        assert {"runs-on", "steps"} <= set(job)
        for step in job["steps"]:
            assert set(step) <= allowed
            assert ("uses" in step) != ("run" in step)
            commands += [shlex.split(part) for part in step.get("run", "").split("&&") if part]
    known = {"apt-get", "python3", "pip", "python", "chita-edge", "pytest", "echo"}
    assert {words[0] for words in commands} <= known
    for words in commands:
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(f"{words[2]}.__main__"), words
    options = set((ROOT / "device_bench" / "pytest_plugin.py").read_text().split('"'))
    used = [word for words in commands if words[0] == "pytest" for word in words if word.startswith("--latency")]
    assert used
    assert {word.partition("=")[0] for word in used} <= options


def test_its_jobs_verbs_and_devices() -> None:
    lines = [step.get("run", "") for job in workflow()["jobs"].values() for step in job["steps"]]
    assert sum("--latency-device=emulated:cortex-a76" in line for line in lines) == 1
    assert sum("chita-edge bench" in line and "--compare" in line for line in lines) == 1
