from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from chita_edge.bundle import verify_bundle, write_bundle
from chita_edge.bundle_report import write_report
from chita_edge.errors import BundleTamperedError
from device_bench.errors import ResultsError
from device_bench.results import Benchmark, Context, Results, save


def results(date: str, device: str, unit: str = "ms", kind: str = "measured") -> Results:
    rng = np.random.default_rng(0)
    benchmarks = tuple(
        Benchmark.model_validate(
            {"name": name, "time_unit": unit, "samples": tuple((scale * rng.lognormal(0, 0.02, 60)).tolist())}
        )
        for name, scale in (("dense", 3.0), ("sparse", 1.5))
    )
    context = Context.model_validate({"date": date, "device": device, "threads": 1, "kind": kind, "interleaved": True})
    return Results(context=context, benchmarks=benchmarks)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    local = results("2026-01-01T00:00:00+00:00", "local").to_json().encode()
    content = {"config": {"model": "mobilenet", "target": "arm64"}, "sparsity": 0.8}
    return write_bundle(tmp_path / "bundle", {"model.onnx": b"x"}, content, measurements={"bench/local.json": local})


def test_report_takes_runs_in_and_leaves_the_product_alone(bundle: Path, tmp_path: Path) -> None:
    manifest = (bundle / "manifest.json").read_bytes()
    save(results("2026-02-02T00:00:00+00:00", "ssh:phone"), tmp_path / "phone.json")
    save(results("2026-02-03T00:00:00+00:00", "emulated:x", "instructions", "instructions"), tmp_path / "count.json")
    page = write_report(bundle, [tmp_path / "phone.json", tmp_path / "count.json"])
    assert page == bundle / "report.html"
    verify_bundle(bundle)
    assert (bundle / "manifest.json").read_bytes() == manifest
    text = page.read_text()
    assert text.index("emulated:x") < text.index("<h3>ssh:phone") < text.index("<h3>local")
    assert "2.00×" in text
    again = write_report(bundle).read_text()
    assert again == text


def test_a_bundle_that_was_changed_or_a_run_that_is_none_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"bad\.json"):
        write_report(bundle, [tmp_path / "bad.json"])
    assert not (bundle / "report.html").exists()
    (bundle / "model.onnx").write_bytes(b"y")
    with pytest.raises(BundleTamperedError):
        write_report(bundle)


def test_headless_chromium_shows_it_without_a_complaint(bundle: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("there is no browser here: apt-get install --no-install-recommends chromium")
    page = write_report(bundle)
    noisy = tmp_path / "noisy.html"  # what the console would say if the page did load something
    noisy.write_text(page.read_text().replace("</h1>", "</h1><img src='http://localhost/x.png'>", 1))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path}/profile", "--window-size=390,844"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]

    def opened(path: Path) -> subprocess.CompletedProcess[str]:
        command = [browser, *options, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    done = opened(page)
    assert "<h1>mobilenet for arm64</h1>" in done.stdout
    assert "<svg" in done.stdout
    assert "CONSOLE" not in done.stderr
    assert "CONSOLE" in opened(noisy).stderr
