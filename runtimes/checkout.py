"""The kernel library of a source checkout, whose `runtimes` hides the installed package where Python is started in it.

A checkout has no library until one is built in place. Until then the installed package's serves, if it was built from
the same sources; else it is built at first use, where the compiler from PyPI is installed.
"""

import functools
import importlib.util
import logging
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from runtimes.errors import LibraryMissingError, ToolchainError
from runtimes.platforms import FILE_NAME

_RUNTIMES = Path(__file__).parent
_DISTRIBUTION = "chita-edge"
_log = logging.getLogger(__name__)


def is_checkout() -> bool:
    """Whether this is the source tree, and not an installed package."""
    return (_RUNTIMES.parent / "hatch_build.py").is_file()


@functools.cache
def provide(platform: str) -> Path:
    """The library for ``platform``: the installed package's, or one that is built into the checkout now.

    Raises:
        LibraryMissingError: neither is possible; the sentence says why, and what to do.

    """
    installed = [folder for folder in _installed() if (folder / "_lib" / platform / FILE_NAME).is_file()]
    for folder in installed:
        if _sources(folder) == _sources(_RUNTIMES):
            return folder / "_lib" / platform / FILE_NAME
    missing = f"the kernel library for {platform} is not in this checkout ({_RUNTIMES.parent}), " + (
        f"and that of the installed package in {installed[0].parent} was built from other sources"
        if installed
        else "and no installed package has one"
    )
    if importlib.util.find_spec("ziglang") is None:
        raise LibraryMissingError(
            f"{missing}; install the checkout with `pip install .`, or the compiler with `pip install ziglang`, with "
            "which the library is built when it is first needed"
        )
    from runtimes import toolchain  # not above: `python -m runtimes.toolchain` would then have it twice

    _log.warning("%s: building it, once; this takes a minute or two", missing)
    try:
        return toolchain.build_library(platform, _RUNTIMES / "_lib" / platform)
    except (ToolchainError, OSError) as error:
        raise LibraryMissingError(f"{missing}, and it could not be built: {error}") from error


def _installed() -> Iterator[Path]:
    """The folder `runtimes` of each installed distribution of this package but this one."""
    for found in distributions(name=_DISTRIBUTION):
        folder = Path(str(found.locate_file("runtimes")))
        if folder.is_dir() and folder.resolve() != _RUNTIMES.resolve():
            yield folder


def _sources(runtimes: Path) -> dict[str, bytes]:
    """All that the library's bytes follow from, by path."""
    files = [path for path in sorted((runtimes / "native").rglob("*")) if path.suffix in (".c", ".h", ".inc")]
    files += [runtimes / "toolchain.py", runtimes / "platforms.py"]
    return {path.relative_to(runtimes).as_posix(): path.read_bytes() for path in files if path.is_file()}
