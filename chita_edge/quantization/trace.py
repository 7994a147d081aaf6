"""From a torch module to a `Graph`: symbolic tracing, batch norm folded, ReLU and ReLU6 fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import fx, nn

from chita_edge.quantization.errors import UnsupportedNetworkError
from chita_edge.quantization.graph import Graph
from chita_edge.quantization.traced_builder import Builder
from chita_edge.quantization.traced_floats import Floats
from chita_edge.quantization.traced_layers import is_of_series
from chita_edge.quantization.traced_values import Values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chita_edge.network.inputs import Batch


def trace(model: nn.Module, example: Batch | None = None) -> Graph:
    """The steps of a network in evaluation mode.

    Batch norm is folded into the layer before it; elsewhere it becomes a depthwise 1×1 convolution. Series are images
    of height 1 within the graph, and series again where the network gives some.

    With an example, what has no integer form becomes float32 steps, each of as many ops as are connected; a function of
    single numbers, however many ops it takes, becomes a table.

    Args:
        model: of convolutions over images or over series, linear layers, batch norm, sums, concatenations, pooling and
            the usual activations.
        example: what it takes, a few samples, float32 (n, …).

    Raises:
        UnsupportedNetworkError: the network cannot be traced; or holds something else, and there is no example.
    """
    try:
        traced = model if isinstance(model, fx.GraphModule) else fx.symbolic_trace(model)
    except Exception as error:
        raise UnsupportedNetworkError(
            f"The network cannot be traced, which quantisation needs ({str(error).partition('.')[0]}). Its forward "
            "must not depend on values."
        ) from error
    modules = {**dict(traced.named_modules()), **dict(model.named_modules())}
    called = [modules.get(str(node.target)) if node.op == "call_module" else node.target for node in traced.graph.nodes]
    series = any(is_of_series(part) for part in called)
    if example is None:
        return _built(traced, modules, None, series=series).finish()
    values, refused = Values(traced, example, series=series), frozenset[str]()
    while True:
        builder = _built(traced, modules, Floats(traced, modules, values, refused, series=series), series=series)
        lonely = builder.between_floats() - refused
        if not lonely:
            return builder.finish()
        refused |= lonely


def _built(traced: fx.GraphModule, modules: Mapping[str, nn.Module], floats: Floats | None, *, series: bool) -> Builder:
    builder = Builder(modules, floats, series=series)
    for node in traced.graph.nodes:
        builder.add(node)
    return builder
