"""An Arm processor emulated by qemu-user: instructions are counted, and nothing is timed.

An emulated latency says nothing. The number of instructions of one inference repeats to 0.1 %, needs no device, and
moves when the code that runs moves: that makes it a gate, which sees neither caches nor clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_bench.bounds import check_models
from device_bench.devices.base import Availability, DeviceKind, KnownDevice, probed
from device_bench.errors import DeviceUnavailableError, PlanError, UnknownDeviceError
from device_bench.measurement import Measurement
from device_bench.results import Benchmark, Context, Results
from device_bench.sampling import context
from device_bench.sampling.inputs import inputs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.devices.base import Keep
    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.sampling.interleave import Progress


@dataclass(frozen=True)
class EmulatedDevice:
    """``emulated:cortex-a53`` and others; the address is the processor."""

    address: str

    def __post_init__(self) -> None:
        from device_bench.emulation import CPUS

        if self.address not in CPUS:
            known = ", ".join(f"emulated:{cpu}" for cpu in CPUS)
            raise UnknownDeviceError(f"There is no emulated processor {self.address!r:.80}; there are {known}.")

    @property
    def name(self) -> str:
        """The name with which it was asked for."""
        return f"emulated:{self.address}"

    def probe(self) -> Availability:
        """Whether qemu, the arm64 C library and ONNX Runtime for arm64 are there, else the command that brings them."""
        from device_bench.emulation import emulator, prepare

        try:
            emulator(self.address)
            prepare.onnxruntime_library()
        except DeviceUnavailableError as error:
            return Availability(False, str(error))
        return Availability(True, f"{self.address} under qemu-user; counts instructions, measures no time")

    def measure(
        self,
        models: Mapping[str, ModelUnderTest],
        plan: BenchPlan,
        progress: Progress | None = None,
        keep: Keep | None = None,  # noqa: ARG002 (one figure a model: there is no part of it)
    ) -> Measurement:
        """Count the instructions of one inference of each model on one thread: one exact sample each.

        PlanError for more than one thread, whose waiting loops make counts random; DeviceUnavailableError if something
        is not installed; MeasurementError if a model does not run.
        """
        if (plan.processes or 1) != 1:
            raise PlanError(
                "Instructions are counted in one process: every process gives the same figure; leave out --processes."
            )
        if plan.threads != 1:
            raise PlanError("Instructions are counted on one thread only; leave the number of threads at 1.")
        from device_bench.emulation import count_instructions, emulator

        check_models(models, plan.input_shapes)
        device = emulator(self.address)
        benchmarks = []
        for done, (name, model) in enumerate(models.items()):
            if progress:
                progress(done / len(models))
            given = inputs_of(model.path, plan.seed, plan.input_shapes)
            x = list(given.values())
            counted = count_instructions(device, model.path, x, sparse=model.sparse, timeout_seconds=plan.time_limit_s)
            benchmarks.append(
                Benchmark(
                    name=name,
                    time_unit="instructions",
                    samples=(float(counted),),
                    input_shapes={entry: array.shape for entry, array in given.items()},
                )
            )
        if progress:
            progress(1.0)
        described = Context(
            kind="instructions",
            date=context.now(),
            device=self.name,
            threads=1,
            seed=plan.seed,
            cpu=self.address,
            versions=context.versions(),
            sha256={name: context.file_sha256(model.path) for name, model in models.items()},
        )
        return Measurement(Results(context=described, benchmarks=tuple(benchmarks)))


def _known() -> list[KnownDevice]:
    from device_bench.emulation import CPUS

    return probed(EmulatedDevice, CPUS)


KIND = DeviceKind("emulated", EmulatedDevice, _known)
