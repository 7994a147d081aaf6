"""Estimated cycles on an Arm core; labelled as an estimate everywhere.

Instructions are counted below qemu-user, block by block, and multiplied by the cycles that llvm-mca's model of the core
gives each block. Caches, memory, branch prediction and clocks are left out, and no figure was ever held against a
device. It is never compared with what was measured.
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

LABEL = "An estimate, not a measurement: it leaves out caches, memory and clocks, and was never held against a device."


@dataclass(frozen=True)
class EstimatedDevice:
    """``estimate:cortex-a53`` and others; the address is the core."""

    address: str

    def __post_init__(self) -> None:
        from device_bench.estimate import CORES

        if self.address not in CORES:
            known = ", ".join(f"estimate:{core}" for core in CORES)
            raise UnknownDeviceError(f"There is no estimate for {self.address!r:.80}; there are {known}.")

    @property
    def name(self) -> str:
        """The name with which it was asked for."""
        return f"estimate:{self.address}"

    def probe(self) -> Availability:
        """Whether qemu, ONNX Runtime for arm64 and llvm-mca are there, else the command that brings them."""
        from device_bench.emulation import emulator, prepare
        from device_bench.estimate import CORES, analyser

        core = CORES[self.address]
        try:
            emulator(core.qemu)
            prepare.onnxruntime_library()
            tools = analyser()
        except DeviceUnavailableError as error:
            return Availability(False, str(error))
        return Availability(True, f"estimates cycles by llvm-mca {tools.version}'s {core.model}; measures nothing")

    def measure(
        self,
        models: Mapping[str, ModelUnderTest],
        plan: BenchPlan,
        progress: Progress | None = None,
        keep: Keep | None = None,  # noqa: ARG002 (one figure a model: there is no part of it)
    ) -> Measurement:
        """Estimate the cycles of one inference of each model on one thread: one figure each.

        PlanError for more than one thread; DeviceUnavailableError if something is not installed; MeasurementError if a
        model does not run or llvm-mca fails.
        """
        from device_bench.emulation import emulator
        from device_bench.estimate import CORES, analyser, estimate

        if (plan.processes or 1) != 1:
            raise PlanError(
                "Cycles are estimated in one process: every process gives the same figure; leave out --processes."
            )
        if plan.threads != 1:
            raise PlanError("Cycles are estimated for one thread only; leave the number of threads at 1.")
        check_models(models, plan.input_shapes)
        core, tools = CORES[self.address], analyser()
        device = emulator(core.qemu)
        benchmarks, notes = [], [LABEL]
        for done, (name, model) in enumerate(models.items()):
            if progress:
                progress(done / len(models))
            given = inputs_of(model.path, plan.seed, plan.input_shapes)
            x = list(given.values())
            found = estimate(device, tools, core, model.path, x, sparse=model.sparse, timeout_seconds=plan.time_limit_s)
            benchmarks.append(
                Benchmark(
                    name=name,
                    time_unit="cycles",
                    samples=(round(found.cycles, 1),),
                    input_shapes={entry: array.shape for entry, array in given.items()},
                )
            )
            notes.append(
                f"{name}: {found.instructions:,.0f} instructions, {100 * found.covered:.0f} % of them analysed."
            )
        if progress:
            progress(1.0)
        described = Context(
            kind="estimate",
            date=context.now(),
            device=self.name,
            threads=1,
            seed=plan.seed,
            cpu=f"{self.address} (llvm-mca's model {core.model})",
            versions=context.versions() | {"llvm-mca": tools.version},
            sha256={name: context.file_sha256(model.path) for name, model in models.items()},
            warnings=tuple(notes),
        )
        return Measurement(Results(context=described, benchmarks=tuple(benchmarks)))


def _known() -> list[KnownDevice]:
    from device_bench.estimate import CORES

    return probed(EstimatedDevice, CORES)


KIND = DeviceKind("estimate", EstimatedDevice, _known)
