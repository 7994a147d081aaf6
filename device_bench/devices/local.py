"""The machine at hand: ONNX Runtime in this very process, or in fresh ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_bench.devices.base import Availability, DeviceKind, probed
from device_bench.errors import UnknownDeviceError
from device_bench.sampling import context
from device_bench.sampling.fresh_process import measure_in_fresh_process
from device_bench.sampling.in_process import measure_in_process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.devices.base import Keep
    from device_bench.measurement import Measurement
    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.sampling.interleave import Progress


@dataclass(frozen=True)
class LocalDevice:
    """The machine that this program runs on."""

    address: str = ""

    def __post_init__(self) -> None:
        if self.address:
            raise UnknownDeviceError(f"'local' takes no address; {self.address!r:.80} was given.")

    @property
    def name(self) -> str:
        """Always ``local``."""
        return "local"

    def probe(self) -> Availability:
        """Reachable always; the detail names the processor."""
        features = context.cpu_features()
        return Availability(
            True, f"{context.cpu_name() or 'this machine'} ({', '.join(features) or 'features unknown'})"
        )

    def measure(
        self,
        models: Mapping[str, ModelUnderTest],
        plan: BenchPlan,
        progress: Progress | None = None,
        keep: Keep | None = None,  # noqa: ARG002 (what fails here fails before there are samples worth keeping)
    ) -> Measurement:
        """Measure in this process, or in a fresh one if the plan has several.

        MeasurementError names the model that could not be loaded or run.
        """
        if (plan.processes or 1) > 1:
            return measure_in_fresh_process(models, plan, progress)
        return measure_in_process(models, plan, progress)


KIND = DeviceKind("local", LocalDevice, lambda: probed(LocalDevice, [""]))
