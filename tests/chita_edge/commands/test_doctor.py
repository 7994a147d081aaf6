import json

import pytest
from command_line import Run

from runtimes.errors import LibraryMissingError


def test_what_works_here(chita_edge: Run) -> None:
    done = chita_edge("doctor", "--json")
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout)
    findings = {finding["name"]: finding for finding in told["findings"]}
    assert told["healthy"] is True
    assert "kernels" in findings["kernel library"]["sentence"]
    assert "onnxruntime 1." in findings["packages"]["sentence"]
    assert {"emulation", "ssh", "adb", "chromium", "clock governor"} <= set(findings)
    assert all(finding["sentence"] for finding in findings.values())


def test_what_is_missing_comes_with_what_brings_it(chita_edge: Run) -> None:
    done = chita_edge("doctor", PATH="/nowhere")
    assert done.returncode == 0
    words = " ".join(done.stdout.replace("│", " ").split())
    assert "openssh-client" in words
    assert "chita-edge[adb]" in words


def test_without_kernels_the_main_job_does_not_work(chita_edge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(platform: str | None = None) -> None:
        raise LibraryMissingError(f"there is no kernel library for {platform or 'this machine'}")

    monkeypatch.setattr("runtimes.library", missing)
    done = chita_edge("doctor")
    assert done.returncode == 1
    assert "NO, and it is needed" in done.stdout
    assert "no kernel library for this machine" in done.stdout
