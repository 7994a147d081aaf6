"""Entry point: measure models on a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from device_bench.devices import get_device
from device_bench.errors import PlanError
from device_bench.measurement import Measurement
from device_bench.plan import BenchPlan
from device_bench.processes import merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.devices.base import Keep
    from device_bench.plan import ModelUnderTest
    from device_bench.results import Results
    from device_bench.sampling.interleave import Progress

_SEED_STRIDE = 1009  # a second run takes the next seed: its processes must not get those of the first


def measure(
    models: Mapping[str, ModelUnderTest],
    *,
    device: str = "local",
    plan: BenchPlan | None = None,
    threads: int | None = None,
    samples: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Measurement:
    """Measure ``models`` against each other on ``device``, in turns, and return every sample with its context.

    ``threads``, ``samples`` and ``seed`` override those of ``plan``. Where the plan or the device asks for several
    processes, they run one after another and their samples are put together. ``progress`` is told the share that is
    done. If the device fails, ``keep`` gets what had been measured before the error is raised.

    Raises PlanError for a plan that makes no sense, UnknownDeviceError, DeviceUnavailableError, MeasurementError.
    """
    if not models:
        raise PlanError("There is no model to measure; name at least one.")
    plan = plan or BenchPlan()
    plan = replace(
        plan,
        threads=plan.threads if threads is None else threads,
        samples=plan.samples if samples is None else samples,
        seed=plan.seed if seed is None else seed,
    )
    chosen = get_device(device)
    count = plan.processes or int(getattr(chosen, "default_processes", 1))
    plan = replace(plan, processes=count)
    done: list[Results] = []
    broken_off: list[Results] = []
    for index in range(count):
        share = None if progress is None else _share(progress, index, count)
        seeded = replace(plan, seed=plan.seed + _SEED_STRIDE * index)
        # Only a device that is asked to keep something has to know how.
        optional = {"keep": lambda partial: broken_off.append(partial.results)} if keep else {}
        try:
            done.append(chosen.measure(models, seeded, share, **optional).results)
        except BaseException:
            if keep and (rest := [*done, *broken_off]):
                keep(Measurement(merged(rest)))
            raise
    return Measurement(merged(done))


def _share(progress: Progress, index: int, count: int) -> Progress:
    return lambda share: progress((index + share) / count)
