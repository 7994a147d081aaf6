from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from chita_edge.report.html_charts import distributions, trend
from chita_edge.report.html_layers import LayerMilliseconds
from chita_edge.report.html_report import ReportRun, render_report
from chita_edge.report.html_text import code, count, moment

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
    harmless = "html meta link div p svg line rect text small code details summary td th tr span i"
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


def test_a_bar_stands_only_where_a_share_does() -> None:
    times = LayerMilliseconds("local", {"features.1.1.0": 0.25}, {"features.1.1.0": 0.125}, 1.5, 1.5)
    text = render_report(MANIFEST, [replace(RUN, layer_ms=times)])
    assert text.count('<span class="bar">') == 1
    rest = text[text.index("all other nodes") :].partition("</tr>")[0]
    assert "<span" not in rest
    assert "1.500 → 1.500" in rest


def test_counts_are_short_and_dates_are_read_by_people() -> None:
    assert [count(value) for value in (1_179_648, None, "x", True)] == ["1.18 M", "–", "–", "–"]
    assert moment("2026-11-30T05:39:05+00:00") == "2026-11-30 05:39 UTC"
    assert moment("2026-11-30T05:39:05+02:00") == "2026-11-30 03:39 UTC"
    assert moment("2026-11-30T05:39:05") == "2026-11-30 05:39"
    assert moment("<yesterday>") == "<yesterday>"


def test_what_stands_between_backticks_is_code() -> None:
    assert code("run `chita-edge bench <B>` & see") == "run <code>chita-edge bench &lt;B&gt;</code> &amp; see"
    assert code("a ` alone <b>") == "a ` alone &lt;b&gt;"
    assert "`" not in render_report({**MANIFEST, "not_measured": ["x; run `y` there"]}, []).partition("<body>")[2]


def test_counted_instructions_are_bars_and_read_by_people() -> None:
    counted = replace(
        RUN, samples={"dense": [48_123_456.0], "sparse": [20_412_999.0]}, unit="instructions", speedup=None
    )
    text = render_report(MANIFEST, [counted])
    words = Page(text).words
    assert "dense 48.1 M instructions" in words
    assert "48.1 M → 20.4 M" in words
    assert not re.search(r"e\+\d", words)
    widths = [float(width) for width in re.findall(r'<rect x="0" y="\d+" width="([0-9.]+)"', text)]
    assert widths[0] / widths[1] == pytest.approx(48_123_456 / 20_412_999, rel=1e-3)


def test_the_history_has_a_row_a_run_and_names_models_that_are_not_the_usual_two() -> None:
    words = Page(render_report(MANIFEST, [RUN, replace(RUN, label="second")])).words
    assert words.count("2026-01-01") == 2 + 2  # in the headings above the charts, and in the rows
    assert "p50, dense → sparse" in words
    other = Page(render_report(MANIFEST, [RUN, replace(RUN, samples={"base": [1.0, 2.0], "new": [3.0]})])).words
    assert "p50, dense → sparse" not in other
    assert "base → new" in other


def test_a_hundred_runs_have_their_figures_and_the_newest_their_charts() -> None:
    text = render_report(MANIFEST, [replace(RUN, label=f"run {number}") for number in range(100)])
    assert 'aria-label="latency distributions' in text
    assert text.count("latency distributions") == 12
    words = Page(text).words
    assert "Of 88 older runs only the figures are shown" in words
    assert all(f"run {number}" in words for number in range(100))
    assert "older run" not in Page(render_report(MANIFEST, [RUN] * 12)).words


def test_options_of_tables_are_told_and_unset_ones_are_not() -> None:
    config = {"model": "m", "export": {"target": "t"}, "prune": {"seed": 3, "start": None}, "calibration_images": 9}
    words = Page(render_report({"config": {**config, "bench": {"seed": 4}}}, [])).words
    assert "m for t" in words
    assert "calibration images 9, seed 3" in words
    assert re.search(r"prune\.seed\s*3", words)
    assert re.search(r"bench\.seed\s*4", words)
    assert "prune.start" not in words


def test_the_trend_is_drawn_from_two_runs_on() -> None:
    assert trend({}) == trend({"dense": [1.0], "sparse": [0.5]}) == ""
    drawn = trend({"dense": [2.0, 1.0], "<b>": [1.0, 0.5]})
    assert "median of 2 runs" in drawn
    assert "&lt;b&gt; 0.5 ms" in drawn
    heights = [float(y) for y in re.findall(r'cy="([0-9.]+)"', drawn)]
    assert heights == sorted(heights[:2]) + sorted(heights[2:])
    assert heights[1] == heights[2]  # 1 ms is as high in both lines, over an axis that begins at zero


def test_distributions_of_any_samples_stay_in_the_picture() -> None:
    for samples in ([1.0], [1.0, 1.0], [1.0, 2.0], [1.0, 1e9], list(RNG.lognormal(0, 3, 500))):
        drawn = distributions({"dense": samples, "sparse": [0.5]})
        for x in re.findall(r' x1?="([-0-9.]+)"', drawn):
            assert -0.1 <= float(x) <= 420.1
        for height in re.findall(r'height="([-0-9.]+)"', drawn):
            assert float(height) >= 0
    with pytest.raises(ValueError, match="no samples"):
        distributions({"dense": []})
    with pytest.raises(ValueError, match="no samples"):
        distributions({})


def test_an_int8_baseline_stands_between_dense_and_sparse() -> None:
    samples = {"dense": [4.0, 4.0, 4.1], "int8": [2.0, 2.0, 2.1], "sparse": [1.0, 1.0, 1.1]}
    content = {**MANIFEST, "accuracy": {"dense": 0.9, "int8": 0.89, "sparse": 0.88}}
    words = Page(render_report(content, [replace(RUN, samples=samples)])).words
    assert "dense 90.00 %, ORT int8 89.00 %" in words.replace("\xa0", " ")
    assert "dense 4 ms, ORT int8 2 ms" in words
    assert "p50, dense → int8 → sparse" in words


def test_candidates_are_shown_whatever_they_hold() -> None:
    one = {"structure": "1x4", "sparsity": 0.9, "predicted": 12.5, "unit": "µs", "metric": None, "drop": None}
    other = {**one, "sparsity": 0.75, "metric": 0.93, "drop": 0.4, "chosen": True}
    words = Page(render_report({**MANIFEST, "candidates": [one, other], "reason": "because <fast>"}, [RUN])).words
    assert "because <fast>" in words
    assert re.search(r"1x4\s*75.%\s*12\.5\s*0\.93\s*0\.4\s*chosen", words)
    assert "Candidates" not in Page(render_report(MANIFEST, [RUN])).words
    Page(render_report({**MANIFEST, "candidates": [None, 3, {"structure": []}]}, [RUN]))
