"""Conv ∘ Pad → Conv.

The zeros that a Pad puts around height and width become the convolution's own pads. Requires: constant pads, none
negative; a Conv over one or two sides whose own pads are stated (``auto_pad`` of VALID or none). Ensures: a Pad that
anything else reads stays for that reader.
"""

from __future__ import annotations

from typing import cast

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporters.layers.graph import ints
from exporters.layers.padding import zero_pads


class FoldPads(ir.passes.InPlacePass):
    """Conv ∘ Pad → Conv."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Take in every such Pad."""
        folded = [node for node in model.graph if node.op_type == "Conv" and not node.domain and _take_in(node)]
        if folded:
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, bool(folded))


def _take_in(conv: ir.Node) -> bool:
    around = zero_pads(conv.inputs[0])
    auto = conv.attributes["auto_pad"].as_string() if "auto_pad" in conv.attributes else "NOTSET"
    if around is None or auto not in ("NOTSET", "VALID"):
        return False
    pad = cast("ir.Node", cast("ir.Value", conv.inputs[0]).producer())  # zero_pads has seen it
    source = cast("ir.Value", pad.inputs[0])
    top, left, bottom, right = around
    more = (left, right) if source.shape is not None and len(source.shape) == 3 else (top, left, bottom, right)
    own = ints(conv, "pads", (0,) * len(more)) if auto == "NOTSET" else (0,) * len(more)
    if len(own) != len(more):
        return False
    conv.attributes.pop("auto_pad", None)
    conv.attributes["pads"] = ir.AttrInt64s("pads", [one + other for one, other in zip(own, more, strict=True)])
    conv.replace_input_with(0, source)
    return True
