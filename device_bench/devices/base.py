"""Interface of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from device_bench.measurement import Measurement
    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.sampling.interleave import Progress

    Keep = Callable[[Measurement], object]


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
        self,
        models: Mapping[str, ModelUnderTest],
        plan: BenchPlan,
        progress: Progress | None = None,
        keep: Keep | None = None,
    ) -> Measurement:
        """Measure the models in turns, in one process. Raises a DeviceBenchError.

        If it fails with samples at hand, ``keep`` gets them before the error is raised. The attribute
        ``default_processes``, if a device has it, says in how many processes it is measured unless the plan does.
        """
