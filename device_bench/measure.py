"""Measure models on a device: the one way in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from device_bench.devices import get_device
from device_bench.errors import MeasurementError, PlanError
from device_bench.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.interleave import Progress
    from device_bench.measurement import Measurement
    from device_bench.plan import ModelUnderTest


def measure(
    models: Mapping[str, ModelUnderTest],
    *,
    device: str = "local",
    plan: Plan | None = None,
    threads: int | None = None,
    samples: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Measure ``models`` against each other on ``device``, in turns, and return every sample with its context.

    ``threads``, ``samples`` and ``seed`` override those of ``plan``. ``progress`` is told the share that is done.

    Raises PlanError for a plan that makes no sense, UnknownDeviceError, DeviceUnavailableError, MeasurementError.
    """
    if not models:
        raise PlanError("There is no model to measure; name at least one.")
    plan = plan or Plan()
    plan = replace(
        plan,
        threads=plan.threads if threads is None else threads,
        samples=plan.samples if samples is None else samples,
        seed=plan.seed if seed is None else seed,
    )
    found = get_device(device)
    _check(models)
    return found.measure(models, plan, progress)


def _check(models: Mapping[str, ModelUnderTest]) -> None:
    """Raise MeasurementError for a file that asks a runtime for more than it may, before a device gets it."""
    from runtimes import SessionError, check_file

    for name, model in models.items():
        for path in (model.path, model.profiled):
            if path is None or model.trusted:
                continue
            try:
                check_file(path)
            except SessionError as error:
                raise MeasurementError(f"The model {name!r} cannot be measured: {error}") from error
