"""Draw the README's chart from the rows of benchmarks/runtime.py.

    python benchmarks/runtime.py --seconds 0 --json rows.json
    python benchmarks/chart.py rows.json --out docs/speed.svg

One group of bars for each network, one bar for each share of zeros: times as fast as ONNX Runtime dense float32.
The subtitle names the processor that the rows were measured on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TITLES = {
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet-50",
    "resnet20_cifar": "ResNet-20",
}
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
    ratios = {(row["network"], row["sparsity"]): row["ratio"] for row in rows}
    bars = pygal.Bar(
        title=f"Times as fast as ONNX Runtime dense float32\n{document['processor']}, 1 thread, batch 1",
        js=(),
        width=800,
        height=380,
        legend_at_bottom=True,
        legend_at_bottom_columns=len({row["sparsity"] for row in rows}),
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
    for sparsity in sorted({row["sparsity"] for row in rows}):
        bars.add(f"{sparsity:.0%} zeros", [ratios.get((name, sparsity)) for name in names])
    return bytes(bars.render())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="JSON file of benchmarks/runtime.py")
    parser.add_argument("--out", type=Path, required=True, help="SVG file")
    arguments = parser.parse_args()
    arguments.out.write_bytes(draw(json.loads(arguments.rows.read_text())))


if __name__ == "__main__":
    main()
