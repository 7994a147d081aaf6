"""The plugin in real pytest runs of an imagined app repository; the device is a fake with latencies to order."""

from __future__ import annotations

import onnx_models
import pytest

from device_bench.devices import DEVICES

pytest_plugins = ["pytester"]

DEVICE = """
import numpy as np
from device_bench.devices import DEVICES, Availability
from device_bench.errors import DeviceUnavailableError
from device_bench.measurement import Measurement
from device_bench.results import Benchmark, Context, Results
from pathlib import Path

class Fake:
    calls = 0
    def __init__(self, address):
        self.address, self.name = address, "fake:" + address
    def probe(self):
        return Availability(True, "fake")
    def measure(self, models, plan, progress=None):
        with Path("plans").open("a") as file:
            file.write(f"{plan.processes} {plan.seed}\\n")
        if self.address == "unplugged":
            raise DeviceUnavailableError("the cable is out")
        Fake.calls += 1
        ms = {key: float(value) for key, value in (line.split() for line in Path("speeds").read_text().splitlines())}
        rng = np.random.default_rng(Fake.calls)
        counted = self.address == "counting"
        def samples(name):
            return (ms[name] * 1e6,) if counted else tuple((ms[name] * rng.lognormal(0, 0.01, plan.samples)).tolist())
        unit = "instructions" if counted else "ms"
        context = Context(kind="instructions" if counted else "measured", device=self.name, threads=plan.threads,
                          sha256={"dense": "d"})
        return Measurement(Results(context=context, benchmarks=tuple(
            Benchmark(name=name, time_unit=unit, samples=samples(name)) for name in models)))

DEVICES["fake"] = Fake
"""

TEST = """
import pytest

def test_bundle(latency):
    latency.check("bundle")
"""


MODEL = onnx_models.tiny().SerializeToString()  # which the device that stands in never runs, but the gate checks


@pytest.fixture
def app(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setattr("device_bench.devices.DEVICES", dict(DEVICES))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # no plugin but ours: each takes its time to load
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)  # the app's run is not one of several
    pytester.makeconftest(DEVICE)
    pytester.makepyfile(TEST)
    for name in ("bundle/model.onnx", "bundle/model.dense.onnx"):
        pytester.path.joinpath(name).parent.mkdir(exist_ok=True)
        pytester.path.joinpath(name).write_bytes(MODEL)
    speed(pytester, 4.0)
    return pytester


def speed(app: pytest.Pytester, sparse: float, dense: float = 9.0) -> None:
    (app.path / "speeds").write_text(f"dense {dense}\nsparse {sparse}\n")


def run(app: pytest.Pytester, *options: str, device: str = "fake:phone") -> pytest.RunResult:
    return app.runpytest_inprocess(
        *("-p", "no:cacheprovider", "-p", "device_bench.pytest_plugin", "-W", "error", "--strict-markers", "-ra"),
        *([f"--latency-device={device}"] if device else []),
        *options,
    )


def test_update_then_pass_then_regression_with_junit_properties(app: pytest.Pytester) -> None:
    result = run(app)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no baseline*--latency-update*"])
    run(app, "--latency-update").assert_outcomes(passed=1)
    (baseline,) = (app.path / "latency-baselines").rglob("*.json")
    assert baseline.parent.name == "fake-phone"
    result = run(app)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*= latency =*", "*sparse: ok; 3.995 *", "*dense: the control*"])
    speed(app, 4.6)
    result = run(app, "--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*sparse: regression; 3.995 *second run agrees*"])
    junit = (app.path / "junit.xml").read_text()
    assert 'name="latency.sparse.p50_ms" value="4.' in junit
    assert 'name="latency.outcome" value="regression"' in junit
    assert 'name="latency.sparse.ratio" value="1.1' in junit
    run(app, "--latency-fail=median:30%").assert_outcomes(passed=1)


def test_tolerance_of_one_test_and_by_marker(app: pytest.Pytester) -> None:
    app.makepyfile(
        """
        import pytest

        def test_strict(latency):
            latency.check("bundle", name="shared")

        def test_loose(latency):
            latency.check("bundle", name="shared", max_regression="30%")

        @pytest.mark.latency(max_regression="30%", samples=50)
        def test_marked(latency):
            assert latency.samples == 50
            latency.check("bundle", name="shared")

        @pytest.mark.latency(tolerance="30%")
        def test_misspelt(latency):
            latency.check("bundle", name="shared")

        def test_other():
            pass
        """
    )
    run(app, "--latency-update", "-k", "strict").assert_outcomes(passed=1, deselected=4)
    speed(app, 4.6)
    result = run(app)
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*no option 'tolerance'*"])
    run(app, "-m", "not latency").assert_outcomes(passed=1, deselected=4)


def test_a_machine_that_changed_is_inconclusive_and_that_is_a_choice(app: pytest.Pytester) -> None:
    run(app, "--latency-update").assert_outcomes(passed=1)
    speed(app, 4.6, dense=10.4)
    result = run(app)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*the machine changed: dense*"])
    run(app, "--latency-inconclusive=fail").assert_outcomes(failed=1)
    run(app, "--latency-inconclusive=pass").assert_outcomes(passed=1)


def test_counted_instructions_gate_exactly(app: pytest.Pytester) -> None:
    run(app, "--latency-update", device="fake:counting").assert_outcomes(passed=1)
    speed(app, 4.0001)
    run(app, "--latency-fail=median:0.1%", device="fake:counting").assert_outcomes(passed=1)
    speed(app, 4.03)
    run(app, "--latency-fail=median:0.5%", device="fake:counting").assert_outcomes(failed=1)


def test_without_a_device_or_with_one_that_is_away(app: pytest.Pytester) -> None:
    result = run(app, device="")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*give --latency-device*"])
    result = run(app, "--latency-update", device="fake:unplugged")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*the cable is out*"])
    run(app, "--latency-update", "--latency-inconclusive=fail", device="fake:unplugged").assert_outcomes(failed=1)
    result = run(app, "--latency-update", device="toaster")
    result.assert_outcomes(failed=1)
    app.makeini("[pytest]\nlatency_device = fake:phone\n")
    run(app, "--latency-update", device="").assert_outcomes(passed=1)


def test_senseless_options_are_usage_errors(app: pytest.Pytester) -> None:
    for option in ("--latency-fail=mean:5%", "--latency-fail=median", "--latency-fail=median:lots"):
        result = run(app, option)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "write for example" in "".join(result.errlines)


def test_a_baseline_from_an_unfit_machine_is_not_written(app: pytest.Pytester) -> None:
    app.makeconftest(DEVICE.replace("rng.lognormal", "np.linspace(1, 2, plan.samples) * rng.lognormal"))
    result = run(app, "--latency-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*baseline was not written*slower*"])
    assert not (app.path / "latency-baselines").exists()


SEVERAL = """
import pytest

@pytest.mark.parametrize("bundle", ["small/net", "large/net", "small-net", "small/Net"])
def test_latency(latency, bundle):
    latency.check("bundle")
"""


def test_every_test_has_a_baseline_of_its_own_that_says_whose_it_is(app: pytest.Pytester) -> None:
    """Ids that differ in what stands before a slash, in a character that files do not take, in case, in the folder."""
    app.makepyfile(test_it=SEVERAL)
    for folder in ("one", "two"):
        app.mkdir(folder).joinpath("test_it.py").write_text(TEST)
    run(app, "--latency-update", "--import-mode=importlib", "test_it.py", "one", "two").assert_outcomes(passed=6)
    names = sorted(path.name for path in (app.path / "latency-baselines" / "fake-phone").iterdir())
    assert len({name.lower() for name in names}) == 6
    whose = {name.rsplit(".", 2)[0] for name in names}
    assert whose >= {"one-test_it.py-test_bundle", "two-test_it.py-test_bundle", "test_it.py-test_latency-large-net"}
    run(app, "--import-mode=importlib", "test_it.py", "one", "two").assert_outcomes(passed=6)


def test_devices_whose_names_look_alike_share_no_baseline(app: pytest.Pytester) -> None:
    for device in ("fake:pi@board", "fake:pi-board"):
        run(app, "--latency-update", device=device).assert_outcomes(passed=1)
    assert len(list((app.path / "latency-baselines").rglob("*.json"))) == 2
    app.makepyfile(f"def test_{'long' * 60}(latency):\n    latency.check('bundle')\n")
    run(app, "--latency-update").assert_outcomes(passed=1)


@pytest.mark.parametrize("choice", ["skip", "fail", "pass"])
def test_beside_other_workers_a_gate_is_never_green(
    app: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    result = run(app, f"--latency-inconclusive={choice}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*run latency tests by themselves in one process, with `pytest -n0 -m latency`*"])
    assert result.ret == 1
    run(app, device="").assert_outcomes(skipped=1)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    run(app, "--latency-update").assert_outcomes(passed=1)


def test_processes_of_all_tests_and_of_one(app: pytest.Pytester) -> None:
    app.makepyfile(
        """
        import pytest

        def test_all(latency):
            latency.check("bundle", name="a")

        @pytest.mark.latency(processes=2)
        def test_one(latency):
            latency.check("bundle", name="b")
        """
    )
    run(app, "--latency-update", "--latency-processes=3").assert_outcomes(passed=2)
    plans = [line.split() for line in (app.path / "plans").read_text().splitlines()]
    assert [count for count, _ in plans] == ["3"] * 3 + ["2"] * 2
    assert len({seed for _, seed in plans}) == 3
    baseline = next((app.path / "latency-baselines").rglob("a.*.json"))
    assert '"process_samples": [200, 200, 200]' in baseline.read_text()


def test_what_is_no_bundle(app: pytest.Pytester) -> None:
    app.makepyfile("def test(latency):\n    latency.check('nowhere')\n")
    result = run(app)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*neither a bundle*"])
