"""Interface of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from device_bench.measurement import Measurement
    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.sampling.interleave import Progress

    Keep = Callable[[Measurement], object]


@dataclass(frozen=True)
class Availability:
    """Whether a device can be used now, and what it is or why it cannot."""

    reachable: bool
    detail: str


@dataclass(frozen=True)
class KnownDevice:
    """Row of the list of devices: a name, whether it can be used (None: it depends on the address), and why not."""

    name: str
    reachable: bool | None
    detail: str


@dataclass(frozen=True)
class DeviceKind:
    """Devices of one kind, by address; each module of this folder hands out one.

    Attributes:
        name: before the colon of a device's name.
        make: the device of an address.
        known: those that can be named from here, without starting or contacting anything.
    """

    name: str
    make: Callable[[str], Device]
    known: Callable[[], Sequence[KnownDevice]]


def probed(make: Callable[[str], Device], addresses: Iterable[str]) -> list[KnownDevice]:
    """The devices of these addresses, each looked at."""
    rows = []
    for address in addresses:
        device = make(address)
        found = device.probe()
        rows.append(KnownDevice(device.name, found.reachable, found.detail))
    return rows


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
