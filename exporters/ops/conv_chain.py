"""ConvChain…: convolutions of which each reads the output of the one before, as one node.

The letters at the end of the name are its stages: S a DenseConv, D a DepthwiseConv, P a CsrConv of 1×1, A a CsrConvAdd
of 1×1, which is the last one. A kernel can take a few rows at a time through all of them, so that what is between the
stages never leaves the cache. Stage i has the inputs and attributes of its op, their names followed by _i; its X is the
output of stage i − 1. X and, after all others, the residual are the node's own.

An op for each pattern, because a function body cannot depend on an attribute; those here are what MobileNets are made
of.
"""

from __future__ import annotations

import onnx

from exporters.ops._op import EdgeOp, Part
from exporters.ops._text import DOMAIN, OPSET
from exporters.ops.csr_conv import CSR_CONV
from exporters.ops.csr_conv_add import CSR_CONV_ADD
from exporters.ops.dense_conv import DENSE_CONV
from exporters.ops.depthwise_conv import DEPTHWISE_CONV

STAGES = {"S": DENSE_CONV, "D": DEPTHWISE_CONV, "P": CSR_CONV, "A": CSR_CONV_ADD}
PATTERNS = ("DP", "DA", "DPDP", "SDP", "SDPDP", "SDPPDP", "PDP", "PDA")


def _stage_nodes(part: Part, source: str, out: str) -> list[onnx.NodeProto]:
    """The nodes of a stage's function body, its X and Y renamed, everything else followed by the part's suffix."""
    outer = {"X": source, "Y": out, "residual": "residual", "": ""}
    nodes = []
    for original in part.op.function.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        node.input[:] = [outer.get(name, name + part.suffix) for name in original.input]
        node.output[:] = [outer.get(name, name + part.suffix) for name in original.output]
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                attribute.ref_attr_name += part.suffix
        nodes.append(node)
    return nodes


def _chain(pattern: str) -> EdgeOp:
    name = f"ConvChain{pattern}"
    parts = tuple(Part(STAGES[letter], f"_{index}") for index, letter in enumerate(pattern))
    constants = tuple(key + part.suffix for part in parts for key in part.op.constants)
    inputs = ("X", *constants, *(["residual"] if pattern.endswith("A") else []))
    function = onnx.FunctionProto(name=name, domain=DOMAIN, input=inputs, output=["Y"])
    function.opset_import.add(domain="", version=OPSET)
    source = "X"
    for index, part in enumerate(parts):
        out = "Y" if index == len(parts) - 1 else f"Y{part.suffix}"
        function.node.extend(_stage_nodes(part, source, out))
        function.attribute.extend(key + part.suffix for key in part.op.function.attribute)
        for default in part.op.function.attribute_proto:
            entry = function.attribute_proto.add()
            entry.CopyFrom(default)
            entry.name += part.suffix
        source = out
    return EdgeOp(name, "clip", inputs, constants, function, parts)


CHAINS = {pattern: _chain(pattern) for pattern in PATTERNS}
