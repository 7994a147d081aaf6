"""Traversal of a parsed model: all of its messages, and all of its graphs with the constants that each one sees.

Protobuf refuses files nested deeper than 100 messages, so recursion ends there.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import TensorProto

STANDARD = ("", "ai.onnx")


def messages(message: Message) -> Iterator[Message]:
    """The message and all that are in it: nodes, tensors, subgraphs, functions, training information."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for entry in (value,) if isinstance(value, Message) else value:
                yield from messages(entry)


def graphs(model: onnx.ModelProto) -> Iterator[tuple[onnx.GraphProto, Mapping[str, TensorProto]]]:
    """The main graph and those inside its nodes, each with the constants that its nodes can read by name."""
    yield from _graphs(model.graph, ChainMap[str, TensorProto]())


def _graphs(
    graph: onnx.GraphProto, outer: ChainMap[str, TensorProto]
) -> Iterator[tuple[onnx.GraphProto, Mapping[str, TensorProto]]]:
    own: MutableMapping[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        tensor = constant_tensor(node)
        if tensor is not None:
            own[node.output[0]] = tensor
    visible = ChainMap(own, *outer.maps)
    yield graph, visible
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner, visible)


def constant_tensor(node: onnx.NodeProto) -> TensorProto | None:
    """The tensor that a Constant node hands out; None for other nodes, and for constants written in other ways."""
    if node.op_type != "Constant" or node.domain not in STANDARD or node.input or len(node.output) != 1:
        return None
    if len(node.attribute) != 1 or node.attribute[0].name != "value" or not node.attribute[0].HasField("t"):
        return None
    tensor: TensorProto = node.attribute[0].t
    return tensor if node.attribute[0].type == onnx.AttributeProto.TENSOR else None


def node_name(node: onnx.NodeProto) -> str:
    """Name of a node for a sentence: its own, or that of its first output, or its operator."""
    return node.name or (node.output[0] if node.output else "") or node.op_type
