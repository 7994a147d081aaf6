"""The machine at hand: ONNX Runtime in this very process."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from device_bench import context
from device_bench.devices.base import Availability
from device_bench.errors import MeasurementError, PlanError, UnknownDeviceError
from device_bench.inputs import made_up
from device_bench.interleave import Series, interleave
from device_bench.measurement import Measurement
from device_bench.results import Benchmark, Context, Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from device_bench.interleave import Progress
    from device_bench.plan import ModelUnderTest, Plan


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
        self, models: Mapping[str, ModelUnderTest], plan: Plan, progress: Progress | None = None
    ) -> Measurement:
        """Measure in this process. MeasurementError names the model that could not be loaded or run."""
        with _pinned(_chosen(plan)):
            runs = {name: _prepare(name, model, plan) for name, model in models.items()}
            before, date = context.machine_state(), context.now()
            series = interleave(runs, plan, progress=progress)
            after = context.machine_state()
            described = Context(
                date=date,
                device=self.name,
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
                versions=context.versions(),
                sha256=_digests(models),
            )
        return Measurement(
            Results(context=described, benchmarks=tuple(_benchmark(name, series[name]) for name in models))
        )


def _prepare(name: str, model: ModelUnderTest, plan: Plan) -> Callable[[], object]:
    """A callable that runs the model once on random inputs, drawn from the seed and equal for all models."""
    # ONNX Runtime takes a while to import, and reading or comparing results does not need it.
    from runtimes import dense_session, session

    try:
        opened = (session if model.sparse else dense_session)(model.path, threads=plan.threads)
        rng = np.random.default_rng(plan.seed)
        feeds = {entry.name: made_up(rng, entry.shape, entry.type) for entry in opened.get_inputs()}
        outputs = [entry.name for entry in opened.get_outputs()]
        opened.run(outputs, feeds)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but Exception
        raise MeasurementError(f"The model {name!r} ({model.path}) could not be run: {error}") from error
    return lambda: opened.run(outputs, feeds)


def _benchmark(name: str, series: Series) -> Benchmark:
    return Benchmark(
        name=name,
        time_unit="ms",
        samples=tuple(ns / 1e6 for ns in series.samples_ns),
        timestamps_s=tuple(ns / 1e9 for ns in series.starts_ns),
        inner_repetitions=series.inner,
        warmup_rounds=series.warmup_rounds,
        warmup_stable=series.warmup_stable,
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


def _chosen(plan: Plan) -> tuple[int, ...] | None:
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
