"""Quantised layers between DequantizeLinear and QuantizeLinear → QSequence, one for each part of the network.

Requires: shapes, one name a node, operator set 19 or later. Ensures: integers, scales and zero points are those of the
file (int8 activations and their zero points raised by 128); what no stage can do stays standard ONNX; ``reports`` has
every layer with the reason for its form. The parts: :mod:`exporters.qdq.regions`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporters.layers import ExportedLayer
from exporters.ops import DOMAIN, VERSION
from exporters.ops.q_sequence import NAMES, q_sequence_text
from exporters.passes._q_layer import candidate, op_of_stage, report, report_unfit
from exporters.passes._q_writer import Writer
from exporters.qdq.find import Found, find_steps
from exporters.qdq.info import QuantisedDecide, QuantisedDecision
from exporters.qdq.regions import MOST_STEPS, PRODUCTS, Region, find_regions
from exporters.qdq.steps import Code, Step

_SLOWER = "this part of the network would be slower than in ONNX Runtime, and stays standard ONNX"
_ALONE = "it joins values of different parts of the network"


class QSequences(ir.passes.InPlacePass):
    """Runs of quantised layers → QSequence; ``select`` decides in which form each weight is stored.

    most_products: layers that a node may take over.
    """

    def __init__(self, select: QuantisedDecide, most_products: int = MOST_STEPS) -> None:
        self._select, self._most = select, most_products
        self.reports: tuple[ExportedLayer, ...] = ()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Find the parts, decide, replace, report."""
        graph = model.graph
        found = find_steps(graph)
        regions = [region for region in find_regions(found, self._most) if region.products]
        decisions = {step: self._select(candidate(step)) for step in found.steps if step.op in PRODUCTS}
        kept = [region for region in regions if _pays(region, decisions)]
        texts = {region: _text(region, decisions) for region in kept}
        names = _names(list(texts.values()), [len(region.steps) for region in kept])
        kept = [region for region in kept if texts[region] in names]
        self.reports = _reports(graph, found, regions, kept, decisions)
        writer = Writer(graph, decisions, kept)
        for region in kept:
            writer.write(region, texts[region], names[texts[region]])
        if kept:
            graph.opset_imports[DOMAIN] = VERSION
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, bool(kept))


def _pays(region: Region, decisions: Mapping[Step, QuantisedDecision]) -> bool:
    costs = [decisions[step] for step in region.products]
    return sum(one.ours for one in costs) <= sum(one.onnxruntime for one in costs)


def _names(texts: Sequence[str], joined: Sequence[int]) -> dict[str, str]:
    """Names of the texts; where there are more texts than names, those that join the most layers get one."""
    counts = Counter[str]()
    for text, count in zip(texts, joined, strict=True):
        counts[text] += count
    return dict(zip((text for text, _ in counts.most_common(len(NAMES))), NAMES, strict=False))


def _text(region: Region, decisions: Mapping[Step, QuantisedDecision]) -> str:
    places: dict[Code, int] = {region.entry: 1}
    stages: list[tuple[str, int, int | None]] = [("Quantize", 0, None)]
    for step in region.steps:
        first, *second = (places[code] for code in step.reads)
        stages.append((op_of_stage(step, decisions.get(step)), first, second[0] if second else None))
        if step.output is not None:
            places[step.output] = len(stages)
    last = region.steps[-1].output
    if last is not None:
        stages.append(("Dequantize", places[last], None))
    return q_sequence_text(stages)


def _reports(
    graph: ir.Graph,
    found: Found,
    regions: Sequence[Region],
    kept: Sequence[Region],
    decisions: Mapping[Step, QuantisedDecision],
) -> tuple[ExportedLayer, ...]:
    """Every layer in the graph's order."""
    order = {node: index for index, node in enumerate(graph)}
    inside = {step for region in kept for step in region.steps}
    considered = {step for region in regions for step in region.steps}
    rows = list[tuple[int, ExportedLayer]]()
    for step, decision in decisions.items():
        why = "" if step in inside else _SLOWER if step in considered else _ALONE
        rows.append((min(order[node] for node in step.covers), report(step, decision, why)))
    for node, why in found.unfit.items():
        row = report_unfit(node, why)
        if row is not None:
            rows.append((order[node], row))
    return tuple(row for _, row in sorted(rows, key=lambda entry: entry[0]))
