"""Draw the README's chart from the rows of benchmarks/runtime.py.

    python benchmarks/runtime.py --seconds 0 --json rows.json
    python benchmarks/chart.py rows.json … --out docs/speed.svg

One group of bars for each network, one bar for each share of zeros: times as fast as ONNX Runtime dense float32; of
rows in int8, ONNX Runtime's own int8 first, then blocks of four input channels. The subtitle names the processor that
the rows were measured on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

TITLES = {
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet-50",
    "resnet20_cifar": "ResNet-20",
}
SHOWN = (0.5, 0.75, 0.9)  # shares of zeros in the chart of int8
COLOURS = ("#b9d8d6", "#6fb3ae", "#0b7a75", "#064e4b")


def draw(document: dict[str, Any]) -> bytes:
    """The chart as SVG that loads nothing and runs nothing.

    Args:
        document: "processor", and "rows" with "network", "sparsity", "threads", "ratio", "ratio_low" and "ratio_high".

    """
    import pygal  # needed here alone
    from pygal.style import Style

    rows = [row for row in document["rows"] if row["threads"] == 1]
    names = list(dict.fromkeys(row["network"] for row in rows))
    ratios = heights(rows)
    labels = list(dict.fromkeys(label for _, label in ratios))
    bars = pygal.Bar(
        title=f"Times as fast as ONNX Runtime dense float32\n{document['processor']}, 1 thread, batch 1",
        js=(),
        width=800,
        height=380,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(labels),
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:.1f}",
        range=(0, 1.1 * max(ratios.values())),
        show_y_guides=True,
        explicit_size=True,
        style=Style(
            background="#ffffff",
            plot_background="#ffffff",
            colors=COLOURS,
            opacity="1",
            value_colors=("#1b1f24",) * len(COLOURS),
            guide_stroke_color="#e3e6ea",
            major_guide_stroke_color="#e3e6ea",
            guide_stroke_dasharray="0",
            major_guide_stroke_dasharray="0",
            font_family="sans-serif",
            title_font_size=15,
            label_font_size=13,
            major_label_font_size=13,
            value_font_size=12,
            legend_font_size=13,
        ),
    )
    bars.x_labels = [TITLES.get(name, name) for name in names]
    for label in labels:
        bars.add(label, [ratios.get((name, label)) for name in names])
    return bytes(bars.render())


def heights(rows: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """Times as fast as dense float32, by network and by the bar's label, in the order of the bars.

    Of int8 rows those in blocks of four input channels count; the bar of ONNX Runtime's int8 is the median over them.
    """
    if not any("to_int8" in row for row in rows):
        rows = sorted(rows, key=lambda row: row["sparsity"])
        return {(row["network"], f"{row['sparsity']:.0%} zeros"): row["ratio"] for row in rows}
    rows = sorted((row for row in rows if row["structure"] == "1x4"), key=lambda row: row["sparsity"])
    found: dict[tuple[str, str], float] = {}
    for network in dict.fromkeys(row["network"] for row in rows):
        theirs = [row["to_float32"]["ratio"] / row["to_int8"]["ratio"] for row in rows if row["network"] == network]
        found[network, "ONNX Runtime int8"] = median(theirs)
    for row in rows:
        if row["sparsity"] in SHOWN:
            found[row["network"], f"sparse int8, {row['sparsity']:.0%} zeros"] = row["to_float32"]["ratio"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+", help="JSON files of benchmarks/runtime.py, of one processor")
    parser.add_argument("--out", type=Path, required=True, help="SVG file")
    arguments = parser.parse_args()
    documents = [json.loads(path.read_text()) for path in arguments.rows]
    if len({document["processor"] for document in documents}) > 1:
        parser.error("the files are of different processors; a chart shows one")
    rows = [row for document in documents for row in document["rows"]]
    arguments.out.write_bytes(draw({"processor": documents[0]["processor"], "rows": rows}))


if __name__ == "__main__":
    main()
