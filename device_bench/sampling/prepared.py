"""One model opened in this process, ready to be run again and again on the same made-up input."""

from __future__ import annotations

import re
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device_bench.errors import MeasurementError, PlanError
from device_bench.sampling.inputs import check_names, input_shape, made_up
from device_bench.sampling.profile import RUNS, read_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.results import OpTime


@dataclass(frozen=True)
class Prepared:
    """``run`` runs the model once, on inputs of ``input_shapes``; opening took ``session_ms``.

    ``unbound`` runs it too, and makes arrays of its outputs each time. It is the same as ``run`` for a model whose
    outputs cannot be bound, because they do not have the ranks that its file declares. Opening the model and a first
    run added ``steady_bytes`` to this process, and ``peak_bytes`` at the worst moment; None where the system does not
    tell.
    """

    run: Callable[[], object]
    unbound: Callable[[], object]
    input_shapes: dict[str, tuple[int, ...]]
    session_ms: float
    steady_bytes: int | None
    peak_bytes: int | None


def prepare(name: str, model: ModelUnderTest, plan: BenchPlan) -> Prepared:
    """Open a model and run it once. MeasurementError names the model that could not be."""
    with _named(name, model):
        before = _memory("VmRSS")
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins again at the present size
        begin = time.perf_counter_ns()
        session = _open(model, plan)
        session_ms = (time.perf_counter_ns() - begin) / 1e6
        feeds = _feeds(session, plan)
        run, unbound = _runs(session, feeds)
        steady, peak = (None if before is None or now is None else now - before for now in _memories())
        shapes = {entry: array.shape for entry, array in feeds.items()}
        return Prepared(run, unbound, shapes, session_ms, steady, peak)


def profile(name: str, model: ModelUnderTest, plan: BenchPlan) -> tuple[OpTime, ...]:
    """Time of each node, from a separate session, since the profiler slows it down."""
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as folder, _named(name, model):
        session = _open(model, plan, str(Path(folder, "profile")))
        run, _ = _runs(session, _feeds(session, plan))
        for _ in range(RUNS):
            run()
        return read_trace(Path(session.end_profiling()).read_text(encoding="utf-8"))


def _open(model: ModelUnderTest, plan: BenchPlan, profile: str | bool = False) -> InferenceSession:
    # ONNX Runtime takes a while to import, and reading or comparing results does not need it.
    from runtimes import dense_session, session

    path = model.profiled or model.path if profile else model.path
    # measure() has checked the file, whose reading is no part of what a session takes.
    return (session if model.sparse else dense_session)(path, threads=plan.threads, profile=profile, trusted=True)


class _Bound(partial[object]):
    """A call that keeps alive what it needs: the binding owns the arrays, ONNX Runtime only has their addresses."""

    kept: object


def bound(session: InferenceSession, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[], object]:
    """A callable that runs the session once on ``feeds``, which are bound to it here once and for all.

    ``session.run`` turns inputs from arrays and outputs into arrays in every run. That is Python whose code the model
    has pushed out of the caches meanwhile: some 100 microseconds a run, which no app has. So does, to a lesser degree,
    the method around the binding's own call, which is left out where there is a way.
    """
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for entry in session.get_outputs():
        binding.bind_output(entry.name)
    native, ports = getattr(session, "_sess", None), getattr(binding, "_iobinding", None)
    if native is None or ports is None:
        return partial(session.run_with_iobinding, binding)
    run = _Bound(native.run_with_iobinding, ports, None)
    run.kept = (session, binding)
    return run


def _feeds(session: InferenceSession, plan: BenchPlan) -> dict[str, NDArray[np.generic]]:
    """Random inputs, drawn from the seed and equal for all models."""
    rng = np.random.default_rng(plan.seed)
    inputs = session.get_inputs()
    check_names(plan.input_shapes, [entry.name for entry in inputs])
    shapes = [input_shape(entry.name, entry.shape, plan.input_shapes) for entry in inputs]
    return {entry.name: made_up(rng, shape, entry.type) for entry, shape in zip(inputs, shapes, strict=True)}


def _runs(
    session: InferenceSession, feeds: Mapping[str, NDArray[np.generic]]
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Callables that run the session once, with bound outputs and without, after a first run.

    Both are the latter if outputs cannot be bound: ONNX Runtime holds a bound output of a second run against the rank
    that the file declares, and ``session.run`` only warns.
    """
    unbound = partial(session.run, None, dict(feeds))
    run = bound(session, feeds)
    try:
        run()
        run()
    except Exception:  # ONNX Runtime's classes share no other base; what is wrong otherwise, the plain run says
        unbound()
        return unbound, unbound
    return run, unbound


@contextmanager
def _named(name: str, model: ModelUnderTest) -> Iterator[None]:
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{name} ({model.path}) cannot be measured as it was asked for. {error}") from error
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but Exception
        raise MeasurementError(f"The model {name!r} ({model.path}) could not be run: {error}") from error


def _memories() -> tuple[int | None, int | None]:
    return _memory("VmRSS"), _memory("VmHWM")


def _memory(field: str) -> int | None:
    """A line of this process's status that holds kB, in bytes; None if the system has none."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
        if found := re.search(rf"^{field}:\s*(\d+) kB$", status, re.MULTILINE):
            return int(found[1]) * 1024
    return None
