"""ONNX graphs on their way to int8: as modules, which quantisation reads, and back under their own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import torch

import exporters
from chita_edge.network.inputs import Batch, call
from chita_edge.quantization import UnsupportedNetworkError
from exporters.interpreter import OnnxNetwork
from exporters.interpreter.dtypes import NotComputed
from exporters.interpreter.graph_node import GraphNode
from exporters.interpreter.modules import to_modules

if TYPE_CHECKING:
    from torch import nn


def as_modules(model: nn.Module, samples: Batch | None = None, *, is_asked: bool = True) -> nn.Module:
    """The network itself, or that of an ONNX graph in modules.

    Args:
        model: of any door.
        samples: a few, to hold the modules against the graph; none when None.
        is_asked: int8 was asked for; else a graph whose sizes are open is refused too, since int8 fixes them.

    Raises:
        UnsupportedNetworkError: the graph holds what torch does not compute, or runs one sample at a time.
    """
    if not isinstance(model, OnnxNetwork):
        return model
    graph = model.to_onnx()
    if exporters.has_open_sizes(graph) and not is_asked:
        raise UnsupportedNetworkError(
            "An int8 network has fixed sizes, and this graph leaves its input's open; --dtype int8 fixes them."
        )
    try:
        modules = to_modules(graph)
        if model.one_at_a_time and any(isinstance(module, GraphNode) for module in modules.modules()):
            raise UnsupportedNetworkError(
                "The graph fixes its batch to one sample, and some of its nodes mix samples when there are more, so "
                "that its parts cannot be quantised. Export it with an open batch size."
            )
    except NotComputed as reason:
        raise UnsupportedNetworkError(
            f"Quantisation runs the network in torch, which does not compute {reason}. Keep the network in float32."
        ) from reason
    if samples is not None:
        _check(modules, model, samples)
    return modules


def _check(modules: nn.Module, model: nn.Module, samples: Batch) -> None:
    """Refuse a graph that is another function in modules."""
    with torch.no_grad():
        made, wanted = call(modules, samples), call(model, samples)
    same = made.shape == wanted.shape and torch.allclose(made, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
    if not same:
        raise UnsupportedNetworkError(
            "Quantisation reads the graph as layers, and they compute something else than the graph. Keep the network "
            "in float32, and please report this."
        )


def named_as(made: onnx.ModelProto, model: nn.Module) -> None:
    """Give a file the names of the inputs and outputs of the graph that it was made of, in place."""
    if not isinstance(model, OnnxNetwork):
        return
    source = model.to_onnx().graph
    inputs = [value.name for value in exporters.inputs_of(made)]
    given = inputs if set(inputs) == set(model.input_names) else model.input_names
    outputs = (value.name for value in made.graph.output)
    named = (*given, *(value.name for value in source.output))
    names = dict(zip((*inputs, *outputs), named, strict=True))
    taken = {name for node in made.graph.node for name in (*node.input, *node.output)} - set(names)
    names |= {name: f"{name}/inner" for name in names.values() if name in taken}
    for node in made.graph.node:
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.get(name, name)
    for value in (*made.graph.input, *made.graph.output, *made.graph.value_info, *made.graph.initializer):
        value.name = names.get(value.name, value.name)
