"""Results files: raw samples with their context, in the shape of google/benchmark's JSON.

A file MUST be one JSON object of at most 64 MiB with ``benchmarks``, a list of at least one object with

- ``name``: unique within the file;
- ``time_unit``: ``ns``, ``us``, ``ms``, ``s``, or ``instructions`` (counted) or ``cycles`` (estimated), neither a time;
- ``samples``: 1 to 2,000,000 finite numbers from 1e-12 to 1e18, in the order in which they were taken.

These three are enough, and files of google-benchmark and pytest-benchmark that hold repetitions are read too
(:mod:`device_bench.other_benchmarks`). ``context.schema_version`` is 1 where it is given, and ``context.kind``
(``measured``, ``instructions`` or ``estimate``) follows from the units where it is not. Further fields are read if this
module names them and ignored if it does not. In files of ours, sample ``i`` of every benchmark was taken in the same
round (``context.interleaved``), so that samples may be compared in pairs.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from device_bench.errors import ResultsError

SCHEMA_VERSION: Final = 1
MAX_FILE_BYTES: Final = 64 << 20
MAX_SAMPLES: Final = 2_000_000
MAX_BENCHMARKS: Final = 1_000
MAX_NODES: Final = 100_000
MAX_STATES: Final = 100_000
MAX_ZONES: Final = 64
MAX_PROCESSES: Final = 1_000
MAX_INPUTS: Final = 1_000
MAX_ROUNDS: Final = 200_000
"""Rounds of a run that are kept at most; see :func:`most_rounds`."""

TimeUnit = Literal["ns", "us", "ms", "s", "instructions", "cycles"]
NANOSECONDS: Final[dict[str, float]] = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
MAX_NODE_NAME = 8192
"""Characters of a node's name: one that joins many layers is called by all of theirs."""
NodeName = Annotated[str, Field(min_length=1, max_length=MAX_NODE_NAME, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, Field(max_length=1000)]
# The bounds are beyond every latency and count, and keep ratios and changes of unit away from overflow.
Sample = Annotated[FiniteFloat, Field(ge=1e-12, le=1e18)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class MachineState(_Record):
    """Readings of the machine's sensors at one moment; unreadable ones are empty or None."""

    load_avg: tuple[FiniteFloat, ...] = ()
    frequencies_mhz: tuple[FiniteFloat, ...] = ()
    temperatures_c: dict[Name, FiniteFloat] = {}
    battery_percent: FiniteFloat | None = None
    on_battery: bool | None = None


class TimedState(_Record):
    """Readings of the sensors ``at_s`` seconds after the first round began."""

    at_s: FiniteFloat
    state: MachineState


class Context(_Record):
    """Context of the samples: device, time, plan, versions."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["measured", "instructions", "estimate"] = "measured"
    date: Text | None = None
    device: Text | None = None
    interleaved: bool = False
    threads: int | None = None
    seed: int | None = None
    cpu: Text | None = None
    isa: Text | None = None
    num_cpus: int | None = None
    affinity: tuple[int, ...] = ()
    governor: Text | None = None
    before: MachineState | None = None
    after: MachineState | None = None
    meanwhile: Annotated[tuple[TimedState, ...], Field(max_length=MAX_STATES)] = ()
    versions: dict[Name, Text] = {}
    sha256: dict[Name, Text] = {}
    warnings: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _known_version(self) -> Context:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema version {self.schema_version} is not {SCHEMA_VERSION}, the one read here")
        return self


class OpTime(_Record):
    """Time of one node in a run: the median over runs of a session with ONNX Runtime's profiler.

    Profiling slows a run down, so this says where the time goes and is no part of the samples.
    """

    node: NodeName
    op: Name
    ms: Annotated[FiniteFloat, Field(ge=0)]


class Benchmark(_Record):
    """The samples of one model, each the time of one run in ``time_unit``, and when each began (s since the start).

    Beside each sample stand the clock of its core, right after it, and what the temperature zones and the battery said.
    ``sensors_age_s`` is 0 where all of these were read right after the sample, else how long before its end the oldest
    was: slow sensors are read in turns (:mod:`device_bench.sampling.sensors`). ``process_samples`` says how many of the
    samples, in their order, each process took, if there were several. ``input_shapes`` holds the size of each input.
    """

    name: Name
    time_unit: TimeUnit
    samples: Annotated[tuple[Sample, ...], Field(min_length=1, max_length=MAX_SAMPLES)]
    timestamps_s: tuple[FiniteFloat, ...] = ()
    frequencies_mhz: tuple[FiniteFloat, ...] = ()
    temperatures_c: Annotated[dict[Name, tuple[FiniteFloat, ...]], Field(max_length=MAX_ZONES)] = {}
    battery_percent: tuple[FiniteFloat, ...] = ()
    sensors_age_s: tuple[FiniteFloat, ...] = ()
    process_samples: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=MAX_PROCESSES)] = ()
    input_shapes: Annotated[dict[Name, tuple[int, ...]], Field(max_length=MAX_INPUTS)] = {}
    inner_repetitions: Annotated[int, Field(ge=1)] | None = None
    warmup_rounds: Annotated[int, Field(ge=0)] | None = None
    warmup_stable: bool | None = None
    session_ms: FiniteFloat | None = None
    peak_memory_bytes: int | None = None
    steady_memory_bytes: int | None = None
    profile: Annotated[tuple[OpTime, ...], Field(max_length=MAX_NODES)] = ()

    @model_validator(mode="after")
    def _parallel_columns(self) -> Benchmark:
        beside = (self.timestamps_s, self.frequencies_mhz, self.battery_percent, self.sensors_age_s)
        for column in (*beside, *self.temperatures_c.values()):
            if column and len(column) != len(self.samples):
                raise ValueError(f"{len(column)} timestamps or readings stand beside {len(self.samples)} samples")
        if self.process_samples and sum(self.process_samples) != len(self.samples):
            raise ValueError(f"its processes took {sum(self.process_samples)} samples, and it has {len(self.samples)}")
        return self

    @property
    def runs(self) -> tuple[tuple[float, ...], ...]:
        """The samples of each process, in the order in which the processes ran."""
        ends = tuple(accumulate(self.process_samples or (len(self.samples),)))
        return tuple(self.samples[begin:end] for begin, end in zip((0, *ends), ends, strict=False))


class Results(_Record):
    """One results file."""

    context: Context = Context()
    benchmarks: Annotated[tuple[Benchmark, ...], Field(min_length=1, max_length=MAX_BENCHMARKS)]

    @model_validator(mode="after")
    def _unique_names(self) -> Results:
        seen: set[str] = set()
        for benchmark in self.benchmarks:
            if benchmark.name in seen:
                raise ValueError(f"the benchmark {benchmark.name!r} appears twice")
            seen.add(benchmark.name)
        return self

    @property
    def kind(self) -> Literal["measured", "instructions", "estimate"]:
        """Kind of the samples: as the context says, else by their unit."""
        if "kind" in self.context.model_fields_set:
            return self.context.kind
        units = {benchmark.time_unit for benchmark in self.benchmarks}
        if units <= set(NANOSECONDS):
            return "measured"
        return "instructions" if units == {"instructions"} else "estimate"

    @property
    def names(self) -> tuple[str, ...]:
        """The benchmarks' names in file order."""
        return tuple(benchmark.name for benchmark in self.benchmarks)

    def benchmark(self, name: str) -> Benchmark:
        """The benchmark called ``name``; ResultsError with the names that there are if there is none."""
        for benchmark in self.benchmarks:
            if benchmark.name == name:
                return benchmark
        raise ResultsError(f"There is no benchmark {name!r} in these results; there are {', '.join(self.names)}.")

    def to_json(self) -> str:
        """The file's text: sorted by key, one sample list a line, with google/benchmark's own fields filled in."""
        document = self.model_dump(mode="json", exclude_none=True)
        for entry, benchmark in zip(document["benchmarks"], self.benchmarks, strict=True):
            ordered = sorted(benchmark.samples)
            middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
            entry.update(run_type="iteration", real_time=middle, iterations=len(ordered))
        return json.dumps(document, sort_keys=True, allow_nan=False) + "\n"


def most_rounds(models: int, sensors: int) -> int:
    """Number of rounds that fit in a results file, with the readings of ``sensors`` beside each sample.

    A sample, its time and its clock take up to 60 bytes and each sensor up to 9; 48 MiB of the file are for these.
    """
    return min(MAX_ROUNDS, (48 << 20) // (max(models, 1) * (60 + 9 * sensors)))


def parse(data: bytes, origin: str = "the results") -> Results:
    """Read untrusted results, also those of google-benchmark and pytest-benchmark.

    ResultsError with one sentence that names ``origin``, the field and what is wrong.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ResultsError(f"{origin} holds more than {MAX_FILE_BYTES >> 20} MiB; no results file is that large.")
    try:
        return Results.model_validate_json(data)
    except ValidationError as error:
        if (other := _of_another_tool(data, origin)) is not None:
            return other
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ResultsError(f"{origin} is not a results file: {where + ': ' if where else ''}{reason}.") from error


def _of_another_tool(data: bytes, origin: str) -> Results | None:
    """The results in a file of another benchmark tool, None if it is of none that is known."""
    from device_bench.other_benchmarks import converted

    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    found = converted(document, origin)
    return None if found is None else parse(json.dumps(found).encode(), origin)


def load(path: str | Path) -> Results:
    """Read the results file at ``path``. ResultsError if it cannot be read or is not one."""
    try:
        # O_NONBLOCK: a FIFO in the file's place must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ResultsError(f"{path} is not a regular file.")
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    return parse(data, str(path))


def save(results: Results, path: str | Path) -> None:
    """Write a results file as a whole or not at all. ResultsError if the disk refuses."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".partial", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                umask = os.umask(0)
                os.umask(umask)
                os.fchmod(file.fileno(), 0o666 & ~umask)
                file.write(results.to_json())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ResultsError(
            f"{path} could not be written ({error.strerror or error}); nothing was left behind."
        ) from error
