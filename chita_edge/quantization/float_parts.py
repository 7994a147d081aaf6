"""Float32 steps among integer ones: how much of the network they are, and what they hold."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from chita_edge.quantization.moments import position_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chita_edge.network.inputs import Batch
    from chita_edge.quantization.graph import Graph, Step

_TOLD = 6


def integer_share(graph: Graph, images: Batch) -> float:
    """Share of the multiplications of layers and matrix products that steps of integers do."""
    integer = floating = 0
    with torch.no_grad():
        for step, inputs, _ in graph.walk(images):
            if step.layer is not None:
                integer += step.layer.weight.numel() * position_count(step.layer, inputs[0]) * len(inputs[0])
            elif step.op == "float":
                floating += _multiplications(step, inputs)
    return integer / (integer + floating) if integer + floating else 0.0


def _multiplications(step: Step, inputs: tuple[torch.Tensor, ...]) -> int:
    """Of the matrix products and convolutions of a float step."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # attention, or a recurrent layer, in one op is not counted
    try:
        with warnings.catch_warnings(), FlopCounterMode(display=False) as counter:
            warnings.simplefilter("ignore", UserWarning)  # that there is no TF32 here, which is set back
            with torch.backends.mkldnn.flags(enabled=False):
                step(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops()) // 2


def float_parameters(graph: Graph) -> frozenset[str]:
    """Names of the modules whose parameters float steps hold."""
    return frozenset(
        name.rpartition(".")[0]
        for step in graph.floats
        if isinstance(step.part, nn.Module)
        for name, _ in step.part.named_parameters()
    )


def listed(steps: Sequence[Step]) -> str:
    """What of some float steps has no integer form, in words."""
    found = list(dict.fromkeys(reason for step in steps for reason in step.reasons))
    more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return ", ".join(found[:_TOLD]) + more if found else "what moves numbers"
