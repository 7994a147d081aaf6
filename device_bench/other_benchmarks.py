"""Files of google-benchmark and pytest-benchmark as results: each repetition is a sample.

google-benchmark writes one entry a repetition, with its time in ``real_time``; pytest-benchmark writes the times of all
rounds to ``stats.data`` if it is told to save them. Everything else that they write is left out, but for the number of
cores and the clock, which a comparison asks about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from device_bench.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST: Final = 9
"""Repetitions below which no comparison says anything."""
_MOST: Final = 1_000_000
_GOOGLE_HINT: Final = "run it with --benchmark_repetitions=20 --benchmark_report_aggregates_only=false"
_PYTEST_HINT: Final = "run pytest with --benchmark-json and --benchmark-save-data"


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Repetition(_Foreign):
    name: str
    run_name: str | None = None
    run_type: str = "iteration"
    real_time: FiniteFloat | None = None
    time_unit: Literal["ns", "us", "ms", "s"] = "ns"
    threads: int | None = None
    error_occurred: bool = False
    error_message: str = ""


class _GoogleContext(_Foreign):
    num_cpus: int | None = None
    mhz_per_cpu: FiniteFloat | None = None
    date: str | None = None


class _Google(_Foreign):
    context: _GoogleContext = _GoogleContext()
    benchmarks: Annotated[tuple[_Repetition, ...], Field(min_length=1, max_length=_MOST)]


class _Stats(_Foreign):
    data: tuple[FiniteFloat, ...] = ()


class _Test(_Foreign):
    name: str
    fullname: str | None = None
    stats: _Stats


class _Pytest(_Foreign):
    datetime: str | None = None
    benchmarks: Annotated[tuple[_Test, ...], Field(min_length=1, max_length=_MOST)]


def converted(document: Any, origin: str) -> dict[str, Any] | None:
    """The fields of a results file with the samples of a file of one of the two tools; None if it is of neither.

    ResultsError says what to do about a file of theirs that holds too few repetitions.
    """
    entries = document.get("benchmarks") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return None
    if any("samples" in entry for entry in entries):
        return None
    try:
        if entries and all("stats" in entry for entry in entries):
            return _of_pytest(_Pytest.model_validate(_tuples(document)), origin)
        if entries and any("real_time" in entry or "run_type" in entry for entry in entries):
            return _of_google(_Google.model_validate(_tuples(document)), origin)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ResultsError(
            f"{origin} looks like a file of another benchmark tool, and its {where} cannot be read: {first['msg']}."
        ) from error
    return None


def _of_google(file: _Google, origin: str) -> dict[str, Any]:
    taken: dict[str, list[_Repetition]] = {}
    for entry in file.benchmarks:
        if entry.error_occurred:
            raise ResultsError(
                f"{origin}: google-benchmark could not run {entry.name:.200}: {entry.error_message:.200}."
            )
        if entry.run_type != "aggregate" and entry.real_time is not None:
            taken.setdefault(entry.run_name or entry.name, []).append(entry)
    if not taken:
        raise ResultsError(
            f"{origin} is google-benchmark's and holds only aggregates, no single repetition; {_GOOGLE_HINT}."
        )
    benchmarks = []
    for name, entries in taken.items():
        units = {entry.time_unit for entry in entries}
        if len(units) > 1:
            raise ResultsError(f"{origin}: the repetitions of {name:.200} are in {' and '.join(sorted(units))}.")
        samples = [entry.real_time for entry in entries]
        _enough(name, samples, f"{origin} is google-benchmark's and holds", "repetition", _GOOGLE_HINT)
        benchmarks.append({"name": name, "time_unit": units.pop(), "samples": samples})
    context: dict[str, Any] = {"date": file.context.date, "num_cpus": file.context.num_cpus}
    threads = {entry.threads for entries in taken.values() for entry in entries}
    if len(threads) == 1:
        context["threads"] = threads.pop()
    if file.context.mhz_per_cpu:
        context["before"] = {"frequencies_mhz": [file.context.mhz_per_cpu]}
    return {"context": _known(context), "benchmarks": benchmarks}


def _of_pytest(file: _Pytest, origin: str) -> dict[str, Any]:
    benchmarks = []
    for test in file.benchmarks:
        name = test.fullname or test.name
        _enough(name, test.stats.data, f"{origin} is pytest-benchmark's and holds", "round", _PYTEST_HINT)
        benchmarks.append({"name": name, "time_unit": "s", "samples": list(test.stats.data)})
    return {"context": _known({"date": file.datetime}), "benchmarks": benchmarks}


def _enough(name: str, samples: Sequence[float | None], held: str, what: str, hint: str) -> None:
    if len(samples) < FEWEST:
        count = f"{len(samples)} {what}{'' if len(samples) == 1 else 's'}"
        raise ResultsError(f"{held} {count} of {name:.200}; at least {FEWEST} make samples: {hint}.")


def _known(context: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in context.items() if value is not None}


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, which is what strict models take from Python."""
    if isinstance(value, list):
        return tuple(_tuples(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return value
