"""Device behind a shell: common part of ssh and adb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from device_bench.devices.base import Availability
from device_bench.errors import DeviceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.devices.base import Keep
    from device_bench.measurement import Measurement
    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.remote import Transport
    from device_bench.sampling.interleave import Progress


@dataclass(frozen=True)
class ShellDevice:
    """A device behind a transport."""

    transport: Transport
    default_processes: ClassVar[int] = 3

    @property
    def name(self) -> str:
        """The name with which it was asked for."""
        return self.transport.name

    def probe(self) -> Availability:
        """Ask the device what machine it is."""
        from device_bench.remote import files, machine

        try:
            kind = machine(self.transport)
            return Availability(True, f"{kind}, runs the kernels for {files.platform_of(kind)}")
        except DeviceUnavailableError as error:
            return Availability(False, str(error))

    def measure(
        self,
        models: Mapping[str, ModelUnderTest],
        plan: BenchPlan,
        progress: Progress | None = None,
        keep: Keep | None = None,
    ) -> Measurement:
        """Measure with the native runner, see :func:`device_bench.remote.measure_remotely`."""
        from device_bench.remote import measure_remotely

        return measure_remotely(self.transport, models, plan, progress, keep)
