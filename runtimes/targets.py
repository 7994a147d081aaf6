"""The devices that a model can be built for: which library they need, and from which sparsity a sparse layer pays."""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtimes.errors import UnknownTargetError

Op = Literal["CsrConv", "CsrConvAdd", "CsrGemm"]
_TABLES = Path(__file__).parent / "break_even"


@dataclass(frozen=True)
class LayerShape:
    """What the cost of a layer depends on, apart from its sparsity."""

    op: Op
    out_channels: int
    in_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    out_pixels: int = 1
    """Height times width of the output of one sample; 1 for CsrGemm."""


@dataclass(frozen=True)
class BreakEvenPoint:
    """One layer that was timed, or estimated: from `sparsity` on, the sparse kernel is the faster one."""

    layer: LayerShape
    sparsity: float


@dataclass(frozen=True)
class Target:
    """A kind of device."""

    name: str
    description: str
    platforms: Mapping[str, str]
    """Where each library goes in a bundle: the path there, and the platform (as in `PLATFORMS`) whose library it is."""
    break_even_reason: str
    """Where the break-even comes from, in words for a report."""

    @property
    def points(self) -> tuple[BreakEvenPoint, ...]:
        """The table of this target, made by benchmarks/break_even.py."""
        return _points(self.name)

    def break_even(self, layer: LayerShape) -> float:
        """The smallest sparsity from which the sparse kernel is faster than ONNX Runtime's dense one, in [0, 1].

        1.0 says that no sparsity is known to be enough: so it is for kernels larger than 1x1 that are not in the table.
        Of the points with the same op and kernel the nearest one counts, in the logarithms of channels and pixels.
        """
        op = "CsrConv" if layer.op == "CsrConvAdd" else layer.op  # the addition costs both kinds the same
        alike = [p for p in self.points if (p.layer.op, p.layer.kernel) == (op, layer.kernel)]
        if not alike:
            return 1.0
        return min(alike, key=lambda point: _distance(point.layer, layer)).sparsity


def _distance(a: LayerShape, b: LayerShape) -> float:
    pairs = ((a.out_channels, b.out_channels), (a.in_channels, b.in_channels), (a.out_pixels, b.out_pixels))
    return sum(abs(math.log2(x / y)) for x, y in pairs)


@functools.cache
def _points(name: str) -> tuple[BreakEvenPoint, ...]:
    table = json.loads((_TABLES / f"{name}.json").read_text(encoding="utf-8"))
    return tuple(
        BreakEvenPoint(
            LayerShape(
                row["op"], row["out_channels"], row["in_channels"], tuple(row["kernel"]), (1, 1), row["out_pixels"]
            ),
            row["sparsity"],
        )
        for row in table["points"]
    )


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "arm64",
            "64-bit Arm phones, wearables and boards: Android and Linux",
            {
                "lib/android/arm64-v8a/libchita_edge.so": "linux-aarch64",
                "lib/linux/aarch64/libchita_edge.so": "linux-aarch64",
            },
            "an estimate from counted instructions under emulation; no phone was measured",
        ),
        Target(
            "x86_64",
            "64-bit x86 Linux",
            {"lib/linux/x86_64/libchita_edge.so": "linux-x86_64"},
            "measured on an AVX-512 server processor, one thread",
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
