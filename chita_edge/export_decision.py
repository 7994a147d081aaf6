"""Which layers become sparse on a target."""

from __future__ import annotations

from exporters import Decide, Decision, LayerInfo
from runtimes import LayerShape, Target


def stay_dense(layer: LayerInfo) -> Decision:
    """The rule of the baseline: no layer becomes sparse."""
    return Decision(sparse=False, reason=f"{layer.name} belongs to the dense network")


def decide_for(target: Target) -> Decide:
    """The rule that makes a layer sparse from the target's break-even on, and says so in words."""

    def decide(layer: LayerInfo) -> Decision:
        needed = target.break_even(
            LayerShape(
                op="CsrGemm" if layer.op == "CsrGemm" else "CsrConv",
                out_channels=layer.out_channels,
                in_channels=layer.in_channels,
                kernel=layer.kernel,
                stride=layer.stride,
                out_pixels=layer.out_pixels,
            )
        )
        pays = layer.sparsity >= needed
        relation = "pays from" if pays else "would pay only from"
        return Decision(pays, f"{layer.sparsity:.0%} zeros; sparse {relation} {needed:.0%} on {target.name}")

    return decide
