"""Devices that a model can be built for: their kernel libraries and cost tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from runtimes.costs import CostTable, LayerCostKey, load_table
from runtimes.errors import UnknownTargetError
from runtimes.platforms import FILE_NAME, PLATFORMS


@dataclass(frozen=True)
class Target:
    """A kind of device."""

    name: str
    description: str
    platforms: Mapping[str, str]
    """Where each library goes in a bundle: the path there, and the platform (as in `PLATFORMS`) whose library it is."""
    cost_provenance: str
    """Where the costs come from, in words for a report."""
    cache: int | None
    """Bytes of a core's own cache: layers whose activations exceed it are run together, a few rows at a time.
    None: each layer is run alone."""

    @property
    def table(self) -> CostTable:
        """Cost table of the target, made by benchmarks/break_even.py."""
        return load_table(self.name)

    def break_even(self, layer: LayerCostKey) -> float:
        """The smallest sparsity from which the sparse kernel is faster than ONNX Runtime's dense one, in [0, 1]."""
        return self.table.break_even(layer)


def _in_bundle(machine: str) -> dict[str, str]:
    """Where the libraries of all systems on a kind of processor go."""
    own = [platform for platform in PLATFORMS.values() if platform.machines[0] == machine]
    return {f"{folder}/{FILE_NAME}": platform.name for platform in own for folder in platform.bundle_folders}


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "arm64",
            "64-bit Arm phones, wearables and boards: Android and Linux",
            _in_bundle("aarch64"),
            "an estimate from counted instructions under emulation; no phone was measured",
            # Bands of few rows make narrow tiles: with 384 KiB, MobileNetV1 at 80 % takes 1.5 times the instructions.
            None,
        ),
        Target(
            "x86_64",
            "64-bit x86 Linux",
            _in_bundle("x86_64"),
            "measured on an AVX-512 server processor, one thread",
            1 << 20,
        ),
    )
}


def get_target(name: str) -> Target:
    """The target called `name`.

    Raises:
        UnknownTargetError: there is none.

    """
    if name not in TARGETS:
        raise UnknownTargetError(f"there is no target {name!r}; there are {', '.join(TARGETS)}")
    return TARGETS[name]
