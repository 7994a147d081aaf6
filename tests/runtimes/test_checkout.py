"""A source checkout without a library of its own: the installed package's of the same sources, or one that is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

import runtimes
from runtimes import checkout, toolchain
from runtimes.errors import LibraryMissingError, ToolchainError

PLATFORM = "linux-aarch64"
PACKAGE = Path(toolchain.__file__).parent


def clone(folder: Path) -> Path:
    """A checkout as git makes it, as far as `runtimes` goes."""
    shutil.copytree(PACKAGE, folder / "runtimes", ignore=shutil.ignore_patterns("_lib", "__pycache__"))
    (folder / "hatch_build.py").touch()
    return folder


def install(folder: Path) -> Path:
    """A folder of installed packages: every platform's library, the sources, and the metadata."""
    clone(folder)
    (folder / "hatch_build.py").unlink()
    for platform in toolchain.PLATFORMS:
        target = folder / "runtimes" / "_lib" / platform / toolchain.FILE_NAME
        target.parent.mkdir(parents=True)
        shutil.copy(runtimes.library(platform), target)
    metadata = folder / "chita_edge-0.1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.4\nName: chita-edge\nVersion: 0.1.0\n", encoding="utf-8")
    return folder


def run(program: str, root: Path, installed: Path) -> str:
    """What Python prints when it is started in the root of a checkout, before which nothing is looked for."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_in_the_root_of_a_clone_finds_the_installed_library(tmp_path: Path) -> None:
    root, installed = clone(tmp_path / "clone"), install(tmp_path / "site")
    program = "import runtimes; print(runtimes.__file__, runtimes.library(), runtimes.host_isa(), sep='\\n')"
    package, library, isa = run(program, root, installed).splitlines()
    assert Path(package).is_relative_to(root), "the checkout hides the installed package"
    assert Path(library).is_relative_to(installed)
    assert isa == runtimes.host_isa()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, in which this process takes itself to be, beside an installed package."""
    folder = clone(tmp_path / "clone")
    monkeypatch.setattr(checkout, "_RUNTIMES", folder / "runtimes")
    site = str(install(tmp_path / "site"))
    monkeypatch.setattr(checkout, "distributions", lambda name: distributions(name=name, path=[site]))
    checkout.provide.cache_clear()
    return folder


def test_an_installed_library_of_other_sources_is_not_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert checkout.provide(PLATFORM).is_relative_to(root.parent / "site")
    with (root / "runtimes" / "native" / "edge.h").open("a") as file:
        file.write("/* changed */\n")
    made = []

    def build(platform: str, folder: Path) -> Path:
        made.append((platform, folder))
        return folder / toolchain.FILE_NAME

    monkeypatch.setattr(toolchain, "build_library", build)
    checkout.provide.cache_clear()
    for _ in range(2):
        assert checkout.provide(PLATFORM) == root / "runtimes" / "_lib" / PLATFORM / toolchain.FILE_NAME
    assert made == [(PLATFORM, root / "runtimes" / "_lib" / PLATFORM)], "once"
    assert "was built from other sources: building it, once" in caplog.text


def test_without_a_compiler_or_where_it_fails_there_is_a_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(root.parent / "site")
    monkeypatch.setattr(checkout.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LibraryMissingError, match=r"no installed package has one; install .* `pip install ziglang`"):
        checkout.provide(PLATFORM)
    monkeypatch.setattr(checkout.importlib.util, "find_spec", lambda name: object())

    def fail(platform: str, folder: Path) -> Path:
        raise ToolchainError("the compiler failed on it")

    monkeypatch.setattr(toolchain, "build_library", fail)
    with pytest.raises(LibraryMissingError, match=r"could not be built: the compiler failed on it"):
        checkout.provide(PLATFORM)
