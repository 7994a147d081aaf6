"""Exporter's traces → nothing: metadata, doc strings, default attributes, duplicate small constants.

Ensures: what is left in the file is what a runtime reads, so that equal networks give equal and small files.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, DeduplicateInitializersPass, RemoveUnusedNodesPass

PRODUCER = "chita-edge"

_DEFAULTS: dict[str, object] = {
    "auto_pad": "NOTSET",
    "allowzero": 0,
    "alpha": 1.0,
    "beta": 1.0,
    "ceil_mode": 0,
    "group": 1,
    "storage_order": 0,
    "transA": 0,
}
# Attributes of these names mean the same, with the same default, in all of these ops.
_OPS_WITH_DEFAULTS = ("Conv", "Gemm", "MaxPool", "AveragePool", "Reshape")


class Strip(ir.passes.InPlacePass):
    """Exporter's traces → nothing."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Clear everything that no runtime reads."""
        changed = ClearMetadataAndDocStringPass()(model).modified
        model.producer_name, model.producer_version, model.doc_string = PRODUCER, None, None
        model.metadata_props.clear()
        model.graph.metadata_props.clear()
        model.graph.name = "main"
        for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
            value.metadata_props.clear()
            value.doc_string = None
        for node in model.graph:
            for value in node.outputs:
                value.metadata_props.clear()
                value.doc_string = None
            changed |= _drop_defaults(node)
        changed |= DeduplicateInitializersPass(size_limit=1)(model).modified  # bounds, not zero biases
        changed |= RemoveUnusedNodesPass()(model).modified
        return ir.passes.PassResult(model, changed)


def _drop_defaults(node: ir.Node) -> bool:
    if node.op_type not in _OPS_WITH_DEFAULTS:
        return False
    drop = [name for name, a in node.attributes.items() if name in _DEFAULTS and a.value == _DEFAULTS[name]]
    for name in drop:
        node.attributes.pop(name)
    return bool(drop)
