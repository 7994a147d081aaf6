"""Measure models in this very process."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from device_bench.bounds import check_models
from device_bench.errors import PlanError
from device_bench.measurement import Measurement
from device_bench.results import Benchmark, Context, OpTime, Results, most_rounds
from device_bench.sampling import context
from device_bench.sampling.interleave import Series, interleave
from device_bench.sampling.machine_log import MachineLog
from device_bench.sampling.prepared import Prepared, prepare, profile
from device_bench.sampling.sensors import SensorReader, columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.sampling.interleave import Progress


def measure_in_process(
    models: Mapping[str, ModelUnderTest], plan: BenchPlan, progress: Progress | None = None
) -> Measurement:
    """Measure the models in turns in this process, with the context of this machine.

    MeasurementError names the model that is out of bounds or could not be loaded or run; PlanError for cores that
    cannot be used and for inputs without a size.
    """
    check_models(models, plan.input_shapes)
    with _pinned(_chosen(plan)):
        opened = {name: prepare(name, model, plan) for name, model in models.items()}
        unbound = [name for name, one in opened.items() if one.run is one.unbound]
        runs = {name: one.unbound if unbound else one.run for name, one in opened.items()}
        before, date = context.machine_state(), context.now()
        log, sensors = MachineLog(progress), SensorReader()
        try:
            series = interleave(
                runs,
                plan,
                progress=log.between_rounds,
                sense=sensors.after_sample if sensors.found else None,
                keep=most_rounds(len(models), len(sensors.labels)),
            )
        finally:
            sensors.close()
        after = context.machine_state()
        profiles = {name: profile(name, model, plan) for name, model in models.items()} if plan.profile else {}
        described = Context(
            date=date,
            device="local",
            interleaved=True,
            threads=plan.threads,
            seed=plan.seed,
            cpu=context.cpu_name(),
            isa=_isa(),
            num_cpus=os.cpu_count(),
            affinity=context.affinity(),
            governor=context.governor(),
            before=before,
            after=after,
            meanwhile=tuple(log.states),
            versions=context.versions(),
            sha256=_digests(models),
            warnings=(*_not_bound(unbound), *_thinned(next(iter(series.values())))),
        )
    benchmarks = (
        _benchmark(name, opened[name], series[name], profiles.get(name, ()), sensors.labels) for name in models
    )
    return Measurement(Results(context=described, benchmarks=tuple(benchmarks)))


def _not_bound(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    told = (
        f"The outputs of {', '.join(names)} do not have the ranks that the file declares, so none is bound beforehand"
    )
    return (f"{told}: each run of each model includes making arrays of its outputs, some 0.1 ms.",)


def _thinned(series: Series) -> tuple[str, ...]:
    if series.stride == 1:
        return ()
    told = f"Of {series.rounds} rounds one in {series.stride} is kept"
    return (f"{told}, so that the results file does not become too large.",)


def _benchmark(
    name: str, prepared: Prepared, series: Series, profiled: tuple[OpTime, ...], sensors: Sequence[str]
) -> Benchmark:
    return Benchmark(
        **columns(sensors, series.sensed),
        name=name,
        time_unit="ms",
        samples=tuple(ns / 1e6 for ns in series.samples_ns),
        timestamps_s=tuple(ns / 1e9 for ns in series.starts_ns),
        inner_repetitions=series.inner,
        warmup_rounds=series.warmup_rounds,
        warmup_stable=series.warmup_stable,
        input_shapes=prepared.input_shapes,
        session_ms=prepared.session_ms,
        steady_memory_bytes=prepared.steady_bytes,
        peak_memory_bytes=prepared.peak_bytes,
        profile=profiled,
    )


def _isa() -> str:
    from runtimes import host_isa

    return host_isa()


def _digests(models: Mapping[str, ModelUnderTest]) -> dict[str, str]:
    from runtimes import library

    digests = {name: context.file_sha256(model.path) for name, model in models.items()}
    if any(model.sparse for model in models.values()):
        digests["kernel library"] = context.file_sha256(library())
    return digests


def _chosen(plan: BenchPlan) -> tuple[int, ...] | None:
    if not isinstance(plan.cores, str):
        return plan.cores
    if cores := context.cores_by_clock(plan.cores):
        return cores
    raise PlanError(f"This machine does not tell its cores' clocks; name the cores instead of {plan.cores!r}.")


@contextmanager
def _pinned(cores: tuple[int, ...] | None) -> Iterator[None]:
    """Keep this process to ``cores`` meanwhile; threads that start meanwhile inherit it."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        allowed = ",".join(map(str, sorted(before)))
        raise PlanError(
            f"The cores {','.join(map(str, cores))} cannot be used; this process may use {allowed}."
        ) from error
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
