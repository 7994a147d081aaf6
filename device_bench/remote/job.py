"""Measure on a device that has a shell and no Python: push what is missing, run the runner, bring back samples."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from device_bench.bounds import check_models
from device_bench.errors import DeviceBenchError, MeasurementError
from device_bench.measurement import Measurement
from device_bench.remote import files
from device_bench.remote.hello import hello
from device_bench.remote.lock import locked
from device_bench.remote.store import ensure
from device_bench.remote.stream import RunnerOutput
from device_bench.results import MAX_ROUNDS, Results
from device_bench.sampling import context
from device_bench.sampling.inputs import as_runner_words, inputs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from device_bench.devices.base import Keep
    from device_bench.limited import Finished
    from device_bench.plan import BenchPlan, ModelUnderTest
    from device_bench.remote.transport import Transport
    from device_bench.sampling.interleave import Progress

_GRACE_S = 30.0
_KILLED = (124, 137, 142)  # by timeout's own report, by SIGKILL, by the runner's alarm

# `timeout` kills on the device what hangs there, stopped processes too; the runner's own alarm is the second string.
_RUN = """cd "$1" || exit 1
limit=$2
shift 2
command -v timeout >/dev/null && exec timeout -s KILL "$limit" "$@"
exec "$@"
"""


def measure_remotely(
    transport: Transport,
    models: Mapping[str, ModelUnderTest],
    plan: BenchPlan,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Measurement:
    """Measure ``models`` behind ``transport``.

    Files are pushed under the name of their sha256, so what is there already is not pushed again; the run has a folder
    of its own, which is removed afterwards. ``keep`` gets the samples that had arrived when a run is broken off. Raises
    DeviceUnavailableError or MeasurementError.
    """
    check_models(models, plan.input_shapes)
    device = hello(transport)
    platform = files.platform_of(device.machine, device.programs, device.android)
    inputs = {name: inputs_of(model.path, plan.seed, plan.input_shapes) for name, model in models.items()}
    contents = [as_runner_words(arrays.values()) for arrays in inputs.values()]
    content, shapes = contents[0]
    if any(words != shapes for _, words in contents):
        raise MeasurementError("The models have inputs of different shapes or types; on a device they must agree.")
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as scratch:
        source = Path(scratch, "input.raw")
        source.write_bytes(content)
        given = next((model.library for model in models.values() if model.library), None)
        library = given or files.kernel_library(platform)
        parts = {"--ort": files.onnxruntime(platform, plan.ort), "--library": library, "--input": source}
        program = files.runner(platform)
        described = {
            "date": context.now(),
            "device": transport.name,
            "cpu": device.cpu,
            "isa": device.isa,
            "sha256": {name: context.file_sha256(model.path) for name, model in models.items()}
            | {"kernel library": context.file_sha256(library)},
        }
        with locked(transport, device, plan.time_limit_s) as token:
            needed = [program, *parts.values(), *(model.path for model in models.values())]
            places = ensure(transport, device.base, needed, token)
            words = [places[program]]
            for option, path in parts.items():
                words += [option, places[path]]
            for name, model in models.items():
                words += ["--sparse" if model.sparse else "--dense", f"{name}={places[model.path]}"]
            words += [*shapes, *_options(plan)]
            place = f"{device.base}/runs/{token}"
            sized = None if keep is None else lambda partial: keep(_with_sizes(partial, inputs))
            return _with_sizes(_run(transport, place, tuple(models), words, plan, described, progress, sized), inputs)


def _with_sizes(measurement: Measurement, inputs: Mapping[str, Mapping[str, NDArray[np.generic]]]) -> Measurement:
    """The measurement with the sizes of each model's inputs."""
    benchmarks = tuple(
        benchmark.model_copy(
            update={"input_shapes": {name: array.shape for name, array in inputs[benchmark.name].items()}}
        )
        for benchmark in measurement.results.benchmarks
    )
    return Measurement(measurement.results.model_copy(update={"benchmarks": benchmarks}))


def _options(plan: BenchPlan) -> list[str]:
    options: dict[str, object] = {
        "--threads": plan.threads,
        "--samples": plan.samples,
        "--duration-ms": int(plan.duration_s * 1000),
        "--warmup-rounds": plan.warmup_rounds,
        "--warmup-ms": int(plan.warmup_s * 1000),
        "--seed": plan.seed,
        "--abba": int(plan.order == "abba"),
        "--time-limit-s": int(plan.time_limit_s) + 1,
        "--profile": int(plan.profile),
        "--keep": MAX_ROUNDS,
    }
    if plan.cores is not None:
        options["--cores"] = plan.cores if isinstance(plan.cores, str) else ",".join(map(str, plan.cores))
    return [str(word) for pair in options.items() for word in pair]


def _run(
    transport: Transport,
    folder: str,
    names: tuple[str, ...],
    words: list[str],
    plan: BenchPlan,
    described: Mapping[str, object],
    progress: Progress | None,
    keep: Keep | None,
) -> Measurement:
    output = RunnerOutput(names)

    def hear(line: str) -> None:
        before = output.rounds
        output.hear(line)
        if progress and output.rounds > before:
            passed = output.latest_s / plan.duration_s if plan.duration_s else 1.0
            progress(min(output.rounds * output.thinned / plan.samples, passed, 1.0))

    limit = str(int(plan.time_limit_s))
    command = ["env", "ORT_DISABLE_TELEMETRY=1", "sh", "-c", _RUN, "sh", folder, limit, *words]
    try:
        ended = transport.run(command, plan.time_limit_s + _GRACE_S, on_line=hear)
        if ended.code != 0:
            raise MeasurementError(_why(ended, plan, folder.rpartition("/runs/")[0]))
        results = output.results()
    except BaseException as error:
        why = str(error) or type(error).__name__
        if partial := output.partial(why):
            if keep:
                keep(Measurement(_with_context(partial, described)))
            if isinstance(error, DeviceBenchError):
                error.args = (f"{error} {output.rounds} rounds had been measured.",)
        raise
    return Measurement(_with_context(results, described))


def _why(ended: Finished, plan: BenchPlan, base: str) -> str:
    lines = ended.errors.strip().splitlines()
    told = lines[-1].strip()[:200].rstrip(".") if lines else "no reason given"
    if ended.code is None or ended.code in _KILLED:
        return f"The runner did not end within {plan.time_limit_s:.0f} s, or was killed on the device before."
    if ended.code in (126, 127) or "Exec format" in told:
        reason = "its file system forbids programs, their execute bit is gone, or they are for another kind of machine"
        return f"The device does not execute the runner ({told}): {reason}; if they should, remove {base} there."
    return f"The runner on the device ended with status {ended.code}: {told}."


def _with_context(results: Results, described: Mapping[str, object]) -> Results:
    return results.model_copy(update={"context": results.context.model_copy(update=described)})
