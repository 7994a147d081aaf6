from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from chita_edge.report.html_charts import distributions
from chita_edge.report.html_report import ReportRun, render_report

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
    for words in ("1 179 648 → 235 008", "Not measured: latency on arm64", "2 of 2 cores busy", "torch 2.13.0", "avx2"):
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
    harmless = "html meta link div p svg line rect text small td th span i"
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
