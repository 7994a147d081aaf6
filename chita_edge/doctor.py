"""Check of what works on this machine, and what brings the rest."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import runtimes
from device_bench import DeviceBenchError
from device_bench.devices import get_device
from device_bench.sampling.context import governor
from runtimes.errors import RuntimesError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for: whether it works, whether the main job needs it, and a sentence."""

    name: str
    works: bool
    needed: bool
    sentence: str


def examine() -> tuple[Finding, ...]:
    """All findings, those that `build` needs first. Nothing is installed, started or measured."""
    return (
        Finding("python", True, True, f"Python {platform.python_version()} on {runtimes.host_platform()}."),
        _kernels(),
        _packages(),
        _library_for_arm64(),
        _emulation(),
        _program("ssh", "Linux devices are reached by ssh.", "apt-get install --no-install-recommends openssh-client"),
        _program("adb", "Android devices are reached by adb.", "pip install 'chita-edge[adb]'"),
        _program("chromium", "Tests open reports in it.", "apt-get install --no-install-recommends chromium"),
        _clock(),
    )


def _kernels() -> Finding:
    return _tried("kernel library", True, lambda: f"{runtimes.library()} runs {runtimes.host_isa()} kernels.")


def _packages() -> Finding:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("onnxruntime", "onnx", "torch"))
    return Finding("packages", True, True, f"{versions}.")


def _library_for_arm64() -> Finding:
    return _tried("arm64 kernels", False, lambda: f"{runtimes.library('linux-aarch64')} goes into bundles for arm64.")


def _emulation() -> Finding:
    found = get_device("emulated:cortex-a76").probe()
    return Finding("emulation", found.reachable, False, found.detail)


def _program(name: str, what_for: str, command: str) -> Finding:
    place = shutil.which(name)
    if place:
        return Finding(name, True, False, f"{what_for} It is {place}.")
    return Finding(name, False, False, f"{what_for} It is not on PATH; `{command}` brings it.")


def _clock() -> Finding:
    found = governor()
    if found is None:
        return Finding("clock governor", False, False, "It cannot be read here, as in most virtual machines.")
    hint = "." if found == "performance" else "; with 'performance' latencies vary less."
    return Finding("clock governor", True, False, f"It is {found!r}{hint}")


def _tried(name: str, needed: bool, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, needed, look())
    except (RuntimesError, DeviceBenchError) as error:
        return Finding(name, False, needed, str(error))
