"""Build hook: compiles the kernel libraries and puts them into the wheel.

One wheel carries the libraries of all platforms, so it is right wherever one of them is: it is tagged for x86-64 and
aarch64 Linux at once.
"""

import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def load_toolchain(root: Path) -> ModuleType:
    """The toolchain module, by its path: the package itself cannot be imported before it is installed."""
    spec = importlib.util.spec_from_file_location("chita_edge_toolchain", root / "runtimes" / "toolchain.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("runtimes/toolchain.py is missing from the sources")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class KernelLibraryHook(BuildHookInterface[Any]):
    """Compiles for each platform before the wheel is written."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        toolchain = load_toolchain(root)
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-manylinux2014_x86_64.manylinux2014_aarch64"
        if version == "editable":
            toolchain.build_all()
            return
        self._folder = tempfile.TemporaryDirectory(prefix="chita-edge-build-")
        folder = Path(self._folder.name)
        for path in toolchain.build_all(folder, cache_dir=folder / "cache"):
            build_data["force_include"][str(path)] = f"runtimes/_lib/{path.parent.name}/{path.name}"

    def finalize(self, *_: object) -> None:
        folder = getattr(self, "_folder", None)
        if folder is not None:
            folder.cleanup()
