"""What every device can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.interleave import Progress
    from device_bench.measurement import Measurement
    from device_bench.plan import ModelUnderTest, Plan


@dataclass(frozen=True)
class Availability:
    """Whether a device can be used now, and what it is or why it cannot."""

    reachable: bool
    detail: str


class Device(Protocol):
    """A machine that models are measured on."""

    @property
    def name(self) -> str:
        """The name that the user gave, such as ``local`` or ``ssh:pi@10.0.0.7``."""

    def probe(self) -> Availability:
        """Look whether the device can be used, quickly and without changing it."""

    def measure(
        self, models: Mapping[str, ModelUnderTest], plan: Plan, progress: Progress | None = None
    ) -> Measurement:
        """Measure the models in turns. Raises a DeviceBenchError."""
