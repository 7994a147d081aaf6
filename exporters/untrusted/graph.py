"""The size of every value of a graph, worked out node by node before a runtime allocates it.

Constant folding runs a graph's constant parts when a session is made, so a small file of Expand, Tile, Concat or matrix
products can ask for any amount of memory. Here each node's output shape must follow from its inputs' shapes and from
small constants (ONNX's own inference, one node at a time, no values computed); what cannot be told is refused. The
first dimension of an input may be symbolic and counts as 1.
"""

from __future__ import annotations

import math

import onnx
from onnx import TensorProto, TypeProto, helper

from exporters.errors import CsrError, MalformedModelError, TooLargeError, UnsupportedOpError
from exporters.ops import DOMAIN
from exporters.untrusted.csr_nodes import check_edge_node
from exporters.untrusted.tensors import tensor_bytes

# Shapes, axes, pads and the like that inference needs to see; a weight is longer.
_SMALL = 64
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def check_graph(model: onnx.ModelProto, dense_limit: int, total_limit: int) -> None:
    """Bound all values of the main graph.

    dense_limit: bytes of all weights, those of CSR ops densified. total_limit: bytes of the weights and of every value.
    Raises TooLargeError, UnsupportedOpError and MalformedModelError.
    """
    graph = model.graph
    constants: dict[str, TensorProto] = {}
    types: dict[str, TypeProto] = {}
    dense = 0
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in constants:
            raise MalformedModelError(f"two initializers are called {tensor.name!r}; export it again.")
        constants[tensor.name] = tensor
        types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        dense += tensor_bytes(tensor)
    total = dense
    for value in graph.input:
        if value.name in types:
            raise MalformedModelError(f"{value.name!r} is an input and a weight at once; export it again.")
        types[value.name] = _input_type(value)
        total += _bytes(value.name, types[value.name])
    _limit("its weights", dense, dense_limit)
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    for node in graph.node:
        name = node.name or (node.output[0] if node.output else node.op_type)
        _check_node(node, name, types)
        try:
            if node.domain == DOMAIN:
                outputs, weight_bytes = check_edge_node(node, name, types, constants)
                dense += weight_bytes
                total += weight_bytes
                _limit("its weights, densified,", dense, dense_limit)
            else:
                outputs = _infer(node, name, types, constants, opset)
        except CsrError as error:
            raise MalformedModelError(f"node {name!r} holds no valid CSR weight: {error}; export it again.") from error
        for output, type_proto in outputs.items():
            if output in types:
                raise MalformedModelError(f"two nodes make the value {output!r}; export it again.")
            total += _bytes(output, type_proto)
            _limit(f"its values up to {output!r}", total, total_limit)
            types[output] = type_proto
    for value in graph.output:
        if value.name not in types:
            raise MalformedModelError(f"no node makes the output {value.name!r}; export it again.")


def _check_node(node: onnx.NodeProto, name: str, types: dict[str, TypeProto]) -> None:
    for attribute in node.attribute:
        if attribute.type in _GRAPHS or attribute.HasField("g") or attribute.graphs:
            raise UnsupportedOpError(
                f"node {name!r} ({node.op_type}) holds a graph; branches and loops are not read here."
            )
        if attribute.ref_attr_name or attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise UnsupportedOpError(
                f"node {name!r} has the attribute {attribute.name!r} of a kind that is not read here."
            )
    for value in node.input:
        if value and value not in types:
            raise MalformedModelError(f"node {name!r} reads {value!r} before any node makes it; export it again.")
    if node.domain not in ("", "ai.onnx", DOMAIN):
        raise UnsupportedOpError(f"node {name!r} is of the operator set {node.domain!r}, which is not read here.")


def _input_type(value: onnx.ValueInfoProto) -> TypeProto:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise UnsupportedOpError(f"input {value.name!r} has no fixed shape; export it with one.")
    dims = []
    for index, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value"):
            dims.append(dim.dim_value)
        elif index == 0:
            dims.append(1)
        else:
            raise UnsupportedOpError(
                f"dimension {index} of input {value.name!r} is not fixed; only the batch may vary."
            )
    return helper.make_tensor_type_proto(tensor.elem_type, dims)


def _infer(
    node: onnx.NodeProto, name: str, types: dict[str, TypeProto], constants: dict[str, TensorProto], opset: int
) -> dict[str, TypeProto]:
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise UnsupportedOpError(
            f"node {name!r} is a {node.op_type}, which operator set {opset} does not have."
        ) from error
    inputs = {key: types[key] for key in node.input if key}
    data = {key: constants[key] for key in inputs if key in constants and math.prod(constants[key].dims) <= _SMALL}
    try:
        return onnx.shape_inference.infer_node_outputs(
            schema, node, inputs, data, opset_imports=[helper.make_opsetid("", opset)]
        )
    except (
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
        RuntimeError,
        ValueError,
        TypeError,
    ) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise MalformedModelError(f"the output of node {name!r} ({node.op_type}) has no shape ({first}).") from error


def _bytes(name: str, type_proto: TypeProto) -> int:
    tensor = type_proto.tensor_type
    known = type_proto.HasField("tensor_type") and tensor.HasField("shape")
    if not known or not all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in tensor.shape.dim):
        raise UnsupportedOpError(
            f"the size of {name!r} cannot be told before it is computed; such networks are not read."
        )
    empty = TensorProto(name=name, data_type=tensor.elem_type, dims=[dim.dim_value for dim in tensor.shape.dim])
    return tensor_bytes(empty)


def _limit(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(
            f"{what} would take {size} bytes of memory, more than the {limit} allowed for a file of its size."
        )
