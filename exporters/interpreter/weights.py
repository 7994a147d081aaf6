"""Which constants of a graph are weights and biases of layers, and under which names torch has them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

_STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Weight:
    """A constant that is a parameter.

    Attributes:
        initializer: its name in the graph.
        path: its name as torch's ``named_parameters`` has it.
        transposed: whether the graph holds it as (in, out); torch holds it as (out, in).
    """

    initializer: str
    path: str
    transposed: bool = False


def find_weights(graph: onnx.GraphProto) -> dict[str, Weight]:
    """The parameters, by initializer: weights of Conv, Gemm and MatMul of two dimensions, and their biases.

    A constant that is also read in another way, or by several layers in different ones, is none: its zeros would not
    be zeros of one layer.
    """
    shapes = {
        tensor.name: tuple(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    }
    uses: dict[str, set[str]] = defaultdict(set)
    readers = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        kinds = _kinds(node, shapes)
        for place, name in enumerate(node.input):
            if name in shapes:
                uses[name].add(kinds.get(place, "other"))
        for name in _inner(node):
            uses[name].add("other")
    for value in graph.output:
        uses[value.name].add("other")
    for node in graph.node:  # a bias that an Add gives the product before it
        if node.op_type == "Add" and node.domain in _STANDARD:
            for name in node.input:
                alone = readers[name] == 1 and len(shapes.get(name, ())) == 1
                if alone and _after_product(graph, node, name) and _finite(graph, name):
                    uses[name] = {"bias"}
    found = {name: kinds for name, kinds in uses.items() if len(kinds) == 1 and not kinds & {"other"}}
    paths = _paths([name for name in shapes if name in found])
    return {name: Weight(name, path, "transposed" in found[name]) for name, path in paths.items()}


def _kinds(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> dict[int, str]:
    """What each input of a node is to it."""
    if node.domain not in _STANDARD or len(node.input) < 2:
        return {}
    rank = len(shapes.get(node.input[1], ()))
    if node.op_type == "Conv" and rank in (3, 4, 5):
        return {1: "weight", 2: "bias"}
    if node.op_type == "Gemm" and rank == 2:
        straight = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return {1: "weight" if straight else "transposed", 2: "bias"}
    if node.op_type == "MatMul" and rank == 2:
        return {1: "transposed"}
    return {}


def _inner(node: onnx.NodeProto) -> set[str]:
    from exporters.interpreter.fallback import outer_names

    return set(outer_names(node)) - set(node.input)


def _after_product(graph: onnx.GraphProto, add: onnx.NodeProto, bias: str) -> bool:
    (other,) = [name for name in add.input if name != bias] or [""]
    return any(node.op_type in ("MatMul", "Gemm", "Conv") and other in node.output for node in graph.node)


def _finite(graph: onnx.GraphProto, name: str) -> bool:
    """Whether a constant is no mask of infinities."""
    (tensor,) = (tensor for tensor in graph.initializer if tensor.name == name)
    return bool(np.isfinite(numpy_helper.to_array(tensor)).all())


def _paths(names: list[str]) -> dict[str, str]:
    """Names for torch: dots part modules, as in the network that many files were exported from."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        parts = [part or "_" for part in name.split(".")]
        path = ".".join(parts)
        while path in taken or any(path.startswith(f"{other}.") or other.startswith(f"{path}.") for other in taken):
            parts = ["_".join(parts) + "_"]
            path = parts[0]
        taken.add(path)
        found[name] = path
    return found
