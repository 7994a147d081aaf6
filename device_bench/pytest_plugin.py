"""A pytest plugin that guards a bundle's latency: measure, compare with a committed baseline, fail on a regression.

    def test_latency(latency):
        latency.check("build/mobilenet-arm64")

    pytest --latency-device=local --latency-update        once, on the machine that guards; commit latency-baselines/
    pytest --latency-device=local --latency-fail=median:5%

``--latency-device=emulated:cortex-a76`` counts instructions instead, which needs no device and repeats to 0.1 %.
Without ``--latency-device`` (or ``latency_device`` in the ini file) tests that use the fixture are skipped.
``@pytest.mark.latency(max_regression="8%", samples=400, processes=5)`` overrides the options for one test; every test
that uses the fixture carries the marker ``latency``, so that ``-m "not latency"`` leaves them out. The figures become
junit properties of the test. An inconclusive comparison, or a device that is not reachable, skips the test with its
cause; ``--latency-inconclusive=fail`` fails it, so that a gate cannot stop guarding without anybody seeing it. Tests
that run beside a measurement disturb it: in one of several pytest-xdist workers such a test fails.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from device_bench.errors import DeviceBenchError, DeviceUnavailableError, PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.judging.verdict import Verdict
    from device_bench.measurement import Measurement
    from device_bench.plan import ModelUnderTest

_LINES: pytest.StashKey[list[str]] = pytest.StashKey()
_FOLDER = "latency-baselines"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all of which begin with ``--latency``."""
    group = parser.getgroup("latency", "latency of bundles on devices")
    group.addoption("--latency-device", metavar="NAME", help="local, emulated:cortex-a76, ssh:user@host, adb:SERIAL")
    group.addoption(
        "--latency-fail", metavar="median:5%", default="median:2%", help="the slowdown still allowed; more fails"
    )
    group.addoption("--latency-update", action="store_true", help="write the baselines instead of comparing")
    group.addoption("--latency-samples", type=int, default=200, metavar="N", help="samples of each model")
    group.addoption(
        "--latency-processes", type=int, metavar="N", help="processes that take as many each; 3 on devices, 1 here"
    )
    group.addoption("--latency-threads", type=int, default=1, metavar="N", help="threads of the runtime")
    group.addoption("--latency-baselines", metavar="DIR", help=f"folder of the baselines; {_FOLDER} in the root folder")
    group.addoption(
        "--latency-inconclusive",
        choices=("skip", "fail", "pass"),
        default="skip",
        help="what becomes of a test whose samples do not tell, or whose device is not reachable",
    )
    parser.addini("latency_device", "the device to measure on if --latency-device is not given", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse senseless options before any test runs."""
    config.addinivalue_line(
        "markers",
        "latency(max_regression, samples, threads, processes): measures latency, and overrides the options for it",
    )
    config.stash[_LINES] = []
    try:
        allowed_regression(config.getoption("--latency-fail"))
    except PlanError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the fixture."""
    for item in items:
        if "latency" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.latency)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the measurements."""
    if lines := config.stash[_LINES]:
        terminalreporter.section("latency")
        for line in lines:
            terminalreporter.write_line(line)


def allowed_regression(text: str) -> float:
    """Read ``median:5%`` as 0.05. PlanError if it is something else."""
    from device_bench.judging.compare import parse_share

    statistic, colon, share = text.partition(":")
    if statistic != "median" or not colon:
        raise PlanError(f"--latency-fail={text:.40} is unknown; write for example median:5%.")
    return parse_share(share)


@dataclass(frozen=True)
class Latency:
    """Value of the fixture: one test's device, options and baseline folder."""

    request: pytest.FixtureRequest
    device: str
    samples: int
    threads: int
    max_regression: float
    baselines: Path
    processes: int | None = None

    def check(
        self,
        subject: str | Path,
        *,
        name: str | None = None,
        max_regression: float | str | None = None,
        trusted: bool = False,
        input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Verdict | None:
        """Measure a bundle (or an ONNX file) and compare it with the baseline called ``name`` (the test's, if None).

        Fails the test on a regression or if there is no baseline, skips it if the comparison is inconclusive (or what
        ``--latency-inconclusive`` says) or the device is not reachable. Returns the verdict; with ``--latency-update``
        it writes the baseline instead and returns None, as it does without a device. A file is checked before a runtime
        sees it, but for a ``trusted`` one. ``input_shapes`` gives sizes to inputs whose file leaves them open.
        """
        from device_bench.bundle_models import CONTROL, models_in
        from device_bench.judging.compare import parse_share
        from device_bench.judging.gate import against, measure_and_compare
        from device_bench.results import load
        from runtimes.errors import RuntimesError

        allowed = self.max_regression if max_regression is None else parse_share(max_regression)
        models = {key: replace(one, trusted=trusted) for key, one in models_in(subject).items()}
        baseline = self._baseline(name)
        update = self.request.config.getoption("--latency-update")
        if not update and not baseline.is_file():
            pytest.fail(f"There is no baseline {baseline}; --latency-update writes it.", pytrace=False)
        try:
            if update:
                self._update(self._measure(models, 0, input_shapes), baseline)
                return None
            verdict = measure_and_compare(
                lambda run: self._measure(models, run, input_shapes),
                against(load(baseline)),
                max_regression=allowed,
                control=CONTROL,
            ).verdict
        except DeviceUnavailableError as error:
            self._without_a_verdict(f"{self.device} is not available: {error}")
            return None
        except (DeviceBenchError, RuntimesError) as error:
            pytest.fail(str(error), pytrace=False)
        self._tell(verdict)
        return verdict

    def _baseline(self, name: str | None) -> Path:
        """``<baselines>/<device>/<name>.<digest>.json``: the whole id of the test, as every file system takes it.

        The digest is of the exact device and id, so that no two tests and no two devices share a file, whatever
        characters their names differ in and however long they are.
        """
        kind, chosen = ("name", name) if name else ("id", self.request.node.nodeid)
        digest = hashlib.sha256("\0".join((self.device, kind, chosen)).encode("utf-8", "surrogateescape")).hexdigest()
        device, file = (re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-.") for part in (self.device, chosen))
        return self.baselines / (device[:60] or "unnamed") / f"{file[-150:] or 'unnamed'}.{digest[:12]}.json"

    def _measure(
        self, models: dict[str, ModelUnderTest], run: int, input_shapes: Mapping[str, tuple[int, ...]] | None
    ) -> Measurement:
        from device_bench.measure import measure
        from device_bench.plan import BenchPlan

        plan = BenchPlan(
            samples=self.samples,
            threads=self.threads,
            processes=self.processes,
            seed=run,
            input_shapes=input_shapes or {},
        )
        measurement = measure(models, device=self.device, plan=plan)
        if run == 0:
            self._record(measurement)
        return measurement

    def _record(self, measurement: Measurement) -> None:
        for benchmark in measurement.results.benchmarks:
            figures: dict[str, float]
            if measurement.results.kind != "measured":
                figures = {benchmark.time_unit: int(benchmark.samples[0])}
            else:
                summary = measurement.summary(benchmark.name)
                figures = {"p50_ms": round(summary.p50, 6), "p90_ms": round(summary.p90, 6), "samples": summary.samples}
            for figure, value in figures.items():
                self.request.node.user_properties.append((f"latency.{benchmark.name}.{figure}", value))

    def _update(self, measurement: Measurement, baseline: Path) -> None:
        from device_bench.judging.health import examine

        results = measurement.results
        if results.kind == "measured":
            for benchmark in results.benchmarks:
                for finding in examine(benchmark, results.context):
                    if finding.unfit:
                        pytest.fail(f"The baseline was not written: {finding.sentence}", pytrace=False)
        measurement.save(baseline)
        self.request.config.stash[_LINES].append(f"{self.request.node.nodeid}: wrote {baseline}")

    def _tell(self, verdict: Verdict) -> None:
        node = self.request.node
        node.user_properties.append(("latency.outcome", verdict.outcome))
        for model in verdict.models:
            if model.ratio:
                node.user_properties.append((f"latency.{model.name}.ratio", round(model.ratio.estimate, 6)))
        lines = verdict.lines()
        node.config.stash[_LINES] += [f"{node.nodeid}: {line}" for line in lines]
        if verdict.outcome == "regression":
            pytest.fail("\n".join(lines), pytrace=False)
        if verdict.outcome == "inconclusive":
            self._without_a_verdict("; ".join(lines))

    def _without_a_verdict(self, cause: str) -> None:
        choice = self.request.config.getoption("--latency-inconclusive")
        if choice == "fail":
            pytest.fail(cause, pytrace=False)
        if choice == "skip":
            pytest.skip(cause)


@pytest.fixture
def latency(request: pytest.FixtureRequest) -> Latency:
    """Measures bundles on the device of ``--latency-device`` and compares them with committed baselines."""
    config = request.config
    device = config.getoption("--latency-device") or config.getini("latency_device")
    if not device:
        pytest.skip("no device to measure on: give --latency-device, for example --latency-device=local")
    if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
        pytest.fail(
            "Tests that run in other pytest-xdist workers would disturb the measurement: run latency tests by "
            "themselves in one process, with `pytest -n0 -m latency`, and the others with `-m 'not latency'`.",
            pytrace=False,
        )
    # Collection added a bare marker; the closest one that says something counts.
    override: dict[str, Any] = next((mark.kwargs for mark in request.node.iter_markers("latency") if mark.kwargs), {})
    if unknown := sorted(set(override) - {"max_regression", "samples", "threads", "processes"}):
        pytest.fail(f"The marker latency has no option {unknown[0]!r}.", pytrace=False)
    from device_bench.judging.compare import parse_share

    folder = config.getoption("--latency-baselines")
    allowed = override.get("max_regression")
    return Latency(
        request,
        device,
        override.get("samples", config.getoption("--latency-samples")),
        override.get("threads", config.getoption("--latency-threads")),
        allowed_regression(config.getoption("--latency-fail")) if allowed is None else parse_share(allowed),
        Path(folder) if folder else config.rootpath / _FOLDER,
        override.get("processes", config.getoption("--latency-processes")),
    )
