"""Measure on this machine in a process of its own, whose memory is laid out anew.

The process is Python with this module as its program. It gets the models and the plan as JSON, and prints a line for
progress now and then, then the results or the sentence of the error.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_bench import errors
from device_bench.errors import DeviceBenchError, MeasurementError
from device_bench.limited import run_limited
from device_bench.measurement import Measurement
from device_bench.plan import BenchPlan, ModelUnderTest
from device_bench.results import parse
from device_bench.sampling.in_process import measure_in_process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.sampling.interleave import Progress

_MODULE = "device_bench.sampling.fresh_process"
_PROGRESS, _RESULTS, _FAILED = "p ", "r ", "f "


def measure_in_fresh_process(
    models: Mapping[str, ModelUnderTest],
    plan: BenchPlan,
    progress: Progress | None = None,
) -> Measurement:
    """Measure the models in one fresh process of this machine.

    Raises what measuring in this process raises, and MeasurementError if the process does not end within the plan's
    limit.
    """
    results: list[str] = []
    failure: list[str] = []

    def hear(line: str) -> None:
        if line.startswith(_PROGRESS) and progress:
            progress(float(line.removeprefix(_PROGRESS)))
        elif line.startswith(_RESULTS):
            results.append(line.removeprefix(_RESULTS))
        elif line.startswith(_FAILED):
            failure.append(line.removeprefix(_FAILED))

    command = [sys.executable, "-c", f"from {_MODULE} import main; main()"]
    asked = json.dumps({"models": {name: _plain(model) for name, model in models.items()}, "plan": _plain(plan)})
    done = run_limited(command, plan.time_limit_s, stdin=asked, on_line=hear)
    if failure:
        told = json.loads(failure[0])
        kind = getattr(errors, told["kind"], MeasurementError)
        raise kind(told["sentence"])
    if done.code is None:
        raise MeasurementError(f"The process that measures did not end within {plan.time_limit_s:.0f} s.")
    if done.code != 0 or not results:
        lines = done.errors.strip().splitlines()
        why = lines[-1][:300] if lines else "it does not say why"
        raise MeasurementError(f"The process that measures ended with status {done.code}: {why}")
    return Measurement(parse(results[0].encode(), "the output of the process that measures"))


def main() -> None:
    """Measure what standard input asks for, in this process."""
    # Nothing but this module's lines may stand on standard output.
    out, sys.stdout = sys.stdout, sys.stderr
    asked = json.loads(sys.stdin.read())
    files = ("path", "library", "profiled")
    models = {name: ModelUnderTest(**_paths(fields, *files)) for name, fields in asked["models"].items()}
    fields = _paths(asked["plan"], "ort")
    cores, shapes = fields["cores"], fields["input_shapes"]
    fields |= {
        "cores": tuple(cores) if isinstance(cores, list) else cores,
        "input_shapes": {name: tuple(shape) for name, shape in shapes.items()},
        "processes": 1,
    }
    told = 0.0

    def progress(share: float) -> None:
        nonlocal told
        if share >= told + 0.01 or share >= 1.0:  # a line a sample would disturb what is measured
            told = share
            out.write(f"{_PROGRESS}{share:.6f}\n")
            out.flush()

    try:
        text = measure_in_process(models, BenchPlan(**fields), progress).to_json()
    except DeviceBenchError as error:
        out.write(f"{_FAILED}{json.dumps({'kind': type(error).__name__, 'sentence': str(error)})}\n")
    else:
        out.write(f"{_RESULTS}{text}")
    out.flush()


def _plain(record: ModelUnderTest | BenchPlan) -> dict[str, Any]:
    """A record's fields as JSON takes them."""
    fields = dataclasses.asdict(record)
    return {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}


def _paths(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return fields | {name: Path(fields[name]) for name in names if fields[name] is not None}
