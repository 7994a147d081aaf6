"""GlobalAveragePool of what an op of ours makes → GlobalAveragePool of ours.

Between the two there may be element-wise ops, all of whose operands that are no constants come from ops of ours.
Requires: Sparsify has run. Ensures: a pooling that reads a convolution of the runtime's own stays, as its input is in
that runtime's layout.
"""

from __future__ import annotations

from typing import cast

import onnx_ir as ir

from exporters.layers.graph import constant
from exporters.ops import DOMAIN, GLOBAL_AVERAGE_POOL, build_node

_ELEMENTWISE = frozenset({"Add", "Clip", "Div", "HardSigmoid", "HardSwish", "Mul", "Relu", "Sigmoid", "Sub"})


class KeepPools(ir.passes.InPlacePass):
    """GlobalAveragePool → ours, behind ops of ours."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace each such node."""
        pools = [node for node in model.graph if _pools_ours(node)]
        for old in pools:
            source = cast("ir.Value", old.inputs[0])  # _pools_ours has looked
            new, _ = build_node(GLOBAL_AVERAGE_POOL, old.name or old.outputs[0].name or "", {"X": source}, {}, {})
            ir.convenience.replace_nodes_and_values(model.graph, old, [old], [new], old.outputs, new.outputs)
        return ir.passes.PassResult(model, bool(pools))


def _pools_ours(node: ir.Node) -> bool:
    return node.op_type == "GlobalAveragePool" and not node.domain and _is_ours(node.inputs[0])


def _is_ours(value: ir.Value | None) -> bool:
    """Whether all that the value is made of comes from ops of ours, through element-wise ones."""
    waiting, seen = [value], {value}
    while waiting:
        value = waiting.pop()
        producer = None if value is None else value.producer()
        if producer is None:
            return False
        if producer.domain == DOMAIN:
            continue
        if producer.domain or producer.op_type not in _ELEMENTWISE:
            return False
        inputs = [entry for entry in producer.inputs if entry is not None and constant(entry) is None]
        waiting += [entry for entry in inputs if entry not in seen]
        seen.update(inputs)
    return True
