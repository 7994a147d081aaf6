"""ConvChain…: convolutions of which each reads the output of the one before, as one node.

The letters at the end of the name are its stages: S a DenseConv, D a DepthwiseConv, P a CsrConv of 1×1, A a CsrConvAdd
of 1×1, which is the last one. A kernel can take a few rows at a time through all of them, so that what is between the
stages never leaves the cache. Stage i has the inputs and attributes of its op, their names followed by _i; its X is the
output of stage i − 1. X and, after all others, the residual are the node's own.

An op for each pattern, because a function body cannot depend on an attribute; those here are what MobileNets are made
of.
"""

from __future__ import annotations

from exporters.ops._op import EdgeOp, Part, stages_op
from exporters.ops.csr_conv import CSR_CONV
from exporters.ops.csr_conv_add import CSR_CONV_ADD
from exporters.ops.dense_conv import DENSE_CONV
from exporters.ops.depthwise_conv import DEPTHWISE_CONV

STAGES = {"S": DENSE_CONV, "D": DEPTHWISE_CONV, "P": CSR_CONV, "A": CSR_CONV_ADD}
PATTERNS = ("DP", "DA", "DPDP", "SDP", "SDPDP", "SDPPDP", "PDP", "PDA")


def _chain(pattern: str) -> EdgeOp:
    parts = [Part(STAGES[letter], f"_{index}", index) for index, letter in enumerate(pattern)]
    return stages_op(f"ConvChain{pattern}", "", "clip", parts, pattern.endswith("A"))


CHAINS = {pattern: _chain(pattern) for pattern in PATTERNS}
