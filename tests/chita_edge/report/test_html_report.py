from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from chita_edge.report.html_charts import distributions, trend
from chita_edge.report.html_layers import LayerMilliseconds
from chita_edge.report.html_report import ReportRun, render_report
from chita_edge.report.html_text import count

MANIFEST = {
    "config": {"model": "mobilenet", "target": "arm64", "seed": 0},
    "sparsity": 0.8,
    "accuracy": {"dense": 0.9358, "sparse": 0.9321},
    "size_bytes": {"dense": 3_283_211, "sparse": 995_309},
    "layers": [
        {
            "name": "features.1.1.0",
            "shape": [32, 16, 1, 1],
            "sparsity": 0.8,
            "format": "csr",
            "reason": "80% zeros",
            "bytes": {"dense": 2176, "sparse": 802},
            "macs": {"dense": 1_179_648, "sparse": 235_008},
        }
    ],
    "not_measured": ["latency on arm64"],
    "versions": {"torch": "2.13.0"},
}
RNG = np.random.default_rng(0)
RUN = ReportRun(
    label="local",
    device="local",
    date="2026-01-01T00:00:00+00:00",
    description="Some CPU, avx2",
    samples={"dense": (2.0 * RNG.lognormal(0, 0.02, 60)).tolist(), "sparse": RNG.lognormal(0, 0.02, 60).tolist()},
    speedup=(2.0, 1.9, 2.1),
    warnings=("Other work kept 2 of 2 cores busy.",),
)


class Page(HTMLParser):
    """Collects text, tags that load something, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.open, self.attributes = "", [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_everything_is_there_and_nothing_is_loaded() -> None:
    text = render_report(MANIFEST, [RUN])
    page = Page(text)
    for words in ("mobilenet for arm64", "93.21 %", "dense 93.58 %", "1.00 MB", "80 %", "2.00×", "features.1.1.0"):
        assert words in page.words
    for words in ("1.18 M → 235 k", "Not measured: latency on arm64", "2 of 2 cores busy", "torch 2.13.0", "avx2"):
        assert words in page.words
    for tag, name, value in page.attributes:
        assert name not in ("src", "onload", "onclick")
        assert name != "href" or value == "data:,", tag
    assert "<script" not in text
    assert not re.search(r"https?://", text)
    assert 'name="viewport"' in text


def test_hostile_words_are_shown_not_run() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    run = ReportRun(evil, evil, evil, evil, {evil: [1.0, 2.0]}, warnings=(evil,))
    manifest = {
        "config": {"model": evil, "target": evil, evil: evil},
        "layers": [{"name": evil, "shape": [evil], "format": evil, "reason": evil, "sparsity": evil}],
        "not_measured": [evil],
        "versions": {evil: evil},
    }
    page = Page(render_report(manifest, [run]))
    harmless = "html meta link div p svg line rect text small td th tr span i"
    assert {tag for tag, _, _ in page.attributes} <= set(harmless.split())
    assert page.words.count("<script>alert(1)</script>") > 8


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"config": 3, "accuracy": [], "size_bytes": None, "layers": {}, "versions": "x"},
        {"layers": [None, 3, {"sparsity": float("nan"), "bytes": 3}], "sparsity": True, "accuracy": {"sparse": "high"}},
    ],
)
def test_what_a_manifest_lacks_is_shown_as_missing(manifest: dict[str, object]) -> None:
    page = Page(render_report(manifest, []))
    assert "–" in page.words
    assert "Nothing was measured yet" in page.words


def test_layers_have_a_column_for_time_where_it_was_profiled() -> None:
    assert "MACsmswhy" not in Page(render_report(MANIFEST, [RUN])).words
    times = LayerMilliseconds("local", {"features.1.1.0": 0.25}, {"features.1.1.0": 0.125}, 1.5, None)
    page = Page(render_report(MANIFEST, [RUN, replace(RUN, layer_ms=times)]))
    assert "MACsmswhy" in page.words
    assert "0.250 → 0.125" in page.words
    assert "1.500 → –" in page.words
    assert "a profiled session on local" in page.words


def test_counts_are_short() -> None:
    told = {0: "0", 640: "640", 2176: "2.18 k", 99_999: "100 k", 1_179_648: "1.18 M", 5e12: "5000 G", None: "–"}
    assert {value: count(value) for value in told} == told


def test_the_trend_is_drawn_from_two_runs_on() -> None:
    assert trend({}) == trend({"dense": [1.0], "sparse": [0.5]}) == ""
    drawn = trend({"dense": [2.0, 1.0], "<b>": [1.0, 0.5]})
    assert "median of 2 runs" in drawn
    assert "&lt;b&gt; 0.5 ms" in drawn
    heights = [float(y) for y in re.findall(r'cy="([0-9.]+)"', drawn)]
    assert heights == sorted(heights[:2]) + sorted(heights[2:])
    assert heights[1] == heights[2]  # 1 ms is as high in both lines, over an axis that begins at zero


def test_distributions_of_any_samples_stay_in_the_picture() -> None:
    for samples in ([1.0], [1.0, 1.0], [1.0, 1e9], list(RNG.lognormal(0, 3, 500))):
        drawn = distributions({"dense": samples, "sparse": [0.5]})
        for x in re.findall(r' x1?="([-0-9.]+)"', drawn):
            assert -0.1 <= float(x) <= 420.1
        for height in re.findall(r'height="([-0-9.]+)"', drawn):
            assert float(height) >= 0
    with pytest.raises(ValueError, match="no samples"):
        distributions({"dense": []})
    with pytest.raises(ValueError, match="no samples"):
        distributions({})
