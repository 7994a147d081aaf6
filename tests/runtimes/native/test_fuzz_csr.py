"""libFuzzer over the validation of weights: CSR, from a corpus that reaches all of it, N:M and int8. Longer on request:

CHITA_EDGE_FUZZ_SECONDS=300 pytest tests/runtimes/native/test_fuzz_csr.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import sanitized

from runtimes.toolchain import NATIVE

CORPUS = Path(__file__).parent / "corpus"
RUNS = 20_000
SECONDS = int(os.environ.get("CHITA_EDGE_FUZZ_SECONDS", "0"))


@pytest.mark.parametrize("kind", ["csr", "nm", "q"])
def test_no_arrays_are_accepted_against_the_rules_or_read_beyond_their_ends(kind: str, tmp_path: Path) -> None:
    if sanitized.clang() is None:
        pytest.skip(f"clang and its sanitizers are not installed; they come with `{sanitized.APT_COMMAND}`")
    flags = ("-std=gnu11", "-I", ".")
    validation = [NATIVE / f"ort/{name}.c" for name in dict.fromkeys(("validate_csr", f"validate_{kind}", "text"))]
    fuzzed = [Path(__file__).parent / f"fuzz_{kind}.c", *validation]
    sources = [(source, (*flags, "-O1", "-fsanitize=fuzzer")) for source in fuzzed]
    sources.append((NATIVE / f"{kind}_conv/reference.c", flags))
    program = sanitized.compile_and_link(sources, tmp_path / "fuzz", ["-fsanitize=fuzzer"])
    grown = tmp_path / "corpus"
    shutil.copytree(CORPUS, grown) if kind == "csr" else grown.mkdir()
    limit = f"-max_total_time={SECONDS}" if SECONDS else f"-runs={RUNS}"
    command = [program, limit, "-seed=1", "-max_len=256", f"-artifact_prefix={tmp_path}/", grown]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done" in done.stderr
