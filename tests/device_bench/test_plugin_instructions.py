"""The plugin counting real instructions under emulation, in an app's repository with no device at hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sparse_models

from device_bench.devices import get_device
from device_bench.emulation.prepare import cache_folder

pytest_plugins = ["pytester"]
DEVICE = "emulated:cortex-a76"
CACHE = cache_folder()  # pytester gives its tests another home folder


def layer() -> bytes:
    weight = sparse_models.random_sparse(np.random.default_rng(1), (32, 32, 1, 1), 0.8)
    return sparse_models.layer("CsrConv", weight, np.zeros(32, np.float32), [1, 32, 14, 14])


def test_two_counts_agree_to_a_tenth_of_a_percent(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHITA_EDGE_CACHE", str(CACHE))
    availability = get_device(DEVICE).probe()
    if not availability.reachable:
        pytest.skip(availability.detail)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    pytester.makepyfile("def test_layer(latency):\n    latency.check('layer.onnx', trusted=True)\n")
    (pytester.path / "layer.onnx").write_bytes(layer())

    def run(*options: str) -> pytest.RunResult:
        plugin = ("-p", "no:cacheprovider", "-p", "device_bench.pytest_plugin", "-W", "error", "--strict-markers")
        return pytester.runpytest_inprocess(*plugin, f"--latency-device={DEVICE}", *options)

    run("--latency-update").assert_outcomes(passed=1)
    (baseline,) = (pytester.path / "latency-baselines" / "emulated-cortex-a76").glob("*.json")
    counted = json.loads(baseline.read_text())["benchmarks"][0]["samples"][0]

    result = run("--latency-fail=median:0.1%", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1)
    found = next(
        part for part in (pytester.path / "junit.xml").read_text().split("<property ") if "instructions" in part
    )
    again = float(found.split('value="')[1].split('"')[0])
    assert again == pytest.approx(counted, rel=0.001)
