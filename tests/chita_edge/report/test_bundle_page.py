from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chita_edge.bundle import verify_bundle, write_bundle
from chita_edge.errors import BundleTamperedError
from chita_edge.report.bundle_page import FirstRun, report_page, write_report
from chita_edge.report.html_layers import LayerMilliseconds
from chita_edge.report.html_report import ReportRun, render_report
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
    page = write_report(bundle, [tmp_path / "phone.json", tmp_path / "count.json"]).page
    assert page == bundle / "report.html"
    verify_bundle(bundle)
    assert (bundle / "manifest.json").read_bytes() == manifest
    text = page.read_text()
    assert text.index("emulated:x") < text.index("<h3>ssh:phone") < text.index("<h3>local")
    assert "2.00×" in text
    assert "counted instructions, not a time" in text
    # The glance shows the newest time, not the newer count.
    assert "p50 on ssh:phone" in text
    assert "p50 on emulated" not in text
    again = write_report(bundle).page.read_text()
    assert again == text


def test_runs_of_one_name_are_all_kept_and_none_twice(bundle: Path, tmp_path: Path) -> None:
    local = (bundle / "bench/local.json").read_bytes()
    files = [tmp_path / name for name in ("a/run.json", "b/run.json", "b/RUN.json", "copy.json", "local.json")]
    devices = ["ssh:a", "ssh:b", "ssh:c", "ssh:a", "adb:d"]
    for file, device in zip(files, devices, strict=True):
        save(results("2026-02-02T00:00:00+00:00", device), file)
    written = write_report(bundle, files)
    kept = [("bench/run.json", False), ("bench/run-2.json", False), ("bench/RUN-3.json", False)]
    kept += [("bench/run.json", True), ("bench/local-2.json", False)]
    assert [(run.kept_as, run.was_there) for run in written.taken] == kept
    assert [run.given for run in written.taken] == files
    assert written.runs == ("RUN-3", "local", "local-2", "run", "run-2")
    text = written.page.read_text()
    assert all(f"<h3>{device}" in text for device in ("ssh:a", "ssh:b", "ssh:c", "adb:d", "local"))
    assert (bundle / "bench/local.json").read_bytes() == local
    again = write_report(bundle, files[1:2])
    assert [(run.kept_as, run.was_there) for run in again.taken] == [("bench/run-2.json", True)]
    assert again.runs == written.runs
    verify_bundle(bundle)


@pytest.mark.parametrize("name", ["index.json", "Index.json", "ssh:pi@board.json", "a\\b?.json", "….json", ". .json"])
def test_a_run_may_come_in_a_file_of_any_name(bundle: Path, tmp_path: Path, name: str) -> None:
    save(results("2026-02-02T00:00:00+00:00", "ssh:pi@board"), tmp_path / name)
    (taken,) = write_report(bundle, [tmp_path / name]).taken
    assert "ssh:pi@board" in (bundle / taken.kept_as).read_text()
    verify_bundle(bundle)


def test_writers_of_reports_at_once_lose_no_run(bundle: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}" / "run.json" for number in range(3)]
    for number, file in enumerate(files):
        save(results("2026-02-02T00:00:00+00:00", f"ssh:{number}"), file)
    threads = [threading.Thread(target=write_report, args=(bundle, [file])) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verify_bundle(bundle)
    text = (bundle / "report.html").read_text()
    assert all(f"<h3>ssh:{number}" in text for number in range(3))


def test_a_product_that_is_built_again_keeps_its_runs_and_another_one_names_those_that_go(
    bundle: Path, tmp_path: Path
) -> None:
    save(results("2026-02-02T00:00:00+00:00", "ssh:phone"), tmp_path / "phone.json")
    write_report(bundle, [tmp_path / "phone.json"])
    content = {"config": {"model": "mobilenet", "target": "arm64"}, "sparsity": 0.8}
    same = FirstRun(content, tmp_path / "none.onnx", results("2026-03-03T00:00:00+00:00", "local"))
    write_bundle(bundle, {"model.onnx": b"x"}, content, measurements=same, force=True)
    verify_bundle(bundle)
    assert same.dropped == ()
    assert {path.name for path in (bundle / "bench").iterdir()} == {
        "index.json", "local.json", "local-2.json", "phone.json",
    }  # fmt: skip
    assert "2026-03-03" in (bundle / "bench/local-2.json").read_text()
    assert "<h3>ssh:phone" in (bundle / "report.html").read_text()
    other = FirstRun(content, tmp_path / "none.onnx", results("2026-04-04T00:00:00+00:00", "local"))
    write_bundle(bundle, {"model.onnx": b"y"}, content, measurements=other, force=True)
    verify_bundle(bundle)
    assert other.dropped == ("local", "local-2", "phone")
    assert "2026-04-04" in (bundle / "bench/local.json").read_text()
    assert "ssh:phone" not in (bundle / "report.html").read_text()
    fresh = FirstRun(content, tmp_path / "none.onnx", results("2026-04-04T00:00:00+00:00", "local"))
    write_bundle(tmp_path / "fresh", {"model.onnx": b"y"}, content, measurements=fresh)
    assert fresh.dropped == ()


def test_an_estimate_alone_is_never_called_a_latency(tmp_path: Path) -> None:
    estimated = results("2026-01-01T00:00:00+00:00", "estimate:cortex-a53", "cycles", "estimate")
    page = report_page({}, {"a53": estimated}, tmp_path / "none.onnx")
    assert "an estimate from an instruction mix, not a measurement" in page
    assert "cycles, dense over sparse" in page
    assert "<small>speedup</small>" not in page
    assert "<small>latency</small>" not in page


def test_a_bundle_that_was_changed_or_a_run_that_is_none_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"bad\.json"):
        write_report(bundle, [tmp_path / "bad.json"])
    assert not (bundle / "report.html").exists()
    (bundle / "model.onnx").write_bytes(b"y")
    with pytest.raises(BundleTamperedError):
        write_report(bundle)


@pytest.fixture
def browser(tmp_path: Path) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Opens a page in headless Chromium: the finished document is on stdout, the console on stderr."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        pytest.skip("there is no browser here: apt-get install --no-install-recommends chromium")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path}/profile", "--window-size=800,844"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]

    def opened(path: Path) -> subprocess.CompletedProcess[str]:
        command = [program, *options, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return opened


Opened = Callable[[Path], subprocess.CompletedProcess[str]]


def test_headless_chromium_shows_it_without_a_complaint(bundle: Path, tmp_path: Path, browser: Opened) -> None:
    page = write_report(bundle).page
    done = browser(page)
    assert "<h1>mobilenet for arm64</h1>" in done.stdout
    assert "<svg" in done.stdout
    assert "CONSOLE" not in done.stderr
    noisy = tmp_path / "noisy.html"  # what the console would say if the page did load something
    noisy.write_text(page.read_text().replace("</h1>", "</h1><img src='http://localhost/x.png'>", 1))
    assert "CONSOLE" in browser(noisy).stderr


MEASURE = """<!doctype html><iframe style="width: 360px; height: 740px; border: 0"></iframe><pre></pre><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const inside = frame.contentDocument, root = inside.documentElement;
  const wide = [...inside.querySelectorAll("*")].filter(
    (part) => part.getBoundingClientRect().right > root.clientWidth + 0.5 || (part.tagName != "svg"
      && part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display != "inline"));
  document.querySelector("pre").textContent = JSON.stringify({
    viewport: root.clientWidth, page: root.scrollWidth, wide: wide.map((part) => part.outerHTML.slice(0, 80)),
    layers: inside.body.innerText.includes("features.1.1.0"), ms: inside.body.innerText.includes("0.250 → 0.125"),
    scripts: inside.scripts.length,
  });
};
frame.srcdoc = PAGE;
</script>"""


def test_a_phone_of_360_pixels_needs_no_scrolling_sideways(tmp_path: Path, browser: Opened) -> None:
    hostile = "</script><script>alert(1)</script>" + "x" * 120
    times = LayerMilliseconds("local", {"features.1.1.0": 0.25}, {"features.1.1.0": 0.125}, 0.1, 0.1)
    layer = {
        "name": "features.1.1.0",
        "shape": [1024, 1024, 1, 1],
        "sparsity": 0.8,
        "format": "csr",
        "reason": "80 % zeros, and this layer pays from 62 % up on the target according to the table of break-evens",
        "bytes": {"dense": 4_198_400, "sparse": 1_049_000},
        "macs": {"dense": 1_179_648_000, "sparse": 235_008_000},
    }
    manifest = {
        "config": {"model": "mobilenet", "target": "arm64", "calibration_images": 1000, "method": "chita_bso"},
        "sparsity": 0.8,
        "accuracy": {"dense": 0.9358, "sparse": 0.9321},
        "size_bytes": {"dense": 3_283_211, "sparse": 995_309},
        "layers": [layer, {**layer, "name": hostile, "reason": hostile}],
        "not_measured": ["latency on arm64; to measure it, copy this bundle to a device"],
        "versions": {"onnxruntime": "1.31.1", "torch": "2.13.0", "numpy": "2.4.0", hostile: "1"},
    }
    samples = {"dense": [2.0, 2.1, 2.2], "sparse": [1.0, 1.1, 1.2]}
    date = "2026-01-01T00:00:00+00:00"
    runs = [ReportRun(name, name, date, name, samples, warnings=(name,), layer_ms=times) for name in ("local", hostile)]
    runs.append(ReportRun("local-2", "local", date, "", samples))
    page = json.dumps(render_report(manifest, runs)).replace("</", "<\\/")
    (tmp_path / "phone.html").write_text(MEASURE.replace("PAGE", page))
    done = browser(tmp_path / "phone.html")
    found = json.loads(html.unescape(re.findall(r"<pre>(.*?)</pre>", done.stdout)[-1]))
    assert found.pop("page") <= found.pop("viewport") <= 360
    assert found == {"wide": [], "layers": True, "ms": True, "scripts": 0}
    assert "CONSOLE" not in done.stderr
