"""Bounds on the size of every value of a graph, worked out node by node before a runtime allocates it.

Constant folding runs a graph's constant parts when a session is made, so a small file of matrix products, broadcasts or
concatenations can ask for any amount of memory. Here each node's output shape follows from its inputs' shapes and from
small constants; what is not told by them is refused, and so are operators of graphs, lists and texts. The first
dimension of an input may be symbolic and counts as 1, also where a shape is computed from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import SupportsInt, cast

import onnx
from onnx import TensorProto

from exporters.errors import MalformedModelError, TooLargeError, UnsupportedOpError
from exporters.ops import DOMAIN
from exporters.untrusted.csr_nodes import check_edge_weights, edge_output_shapes
from exporters.untrusted.node_view import NodeView, Shape
from exporters.untrusted.packed import unpacked_constants
from exporters.untrusted.rules_microsoft import MICROSOFT, OPERATORS
from exporters.untrusted.shape_values import VALUES, Numbers
from exporters.untrusted.shapes import INNER, RULES, WHY_NOT
from exporters.untrusted.tensors import RUNNABLE, tensor_bytes, to_array
from exporters.untrusted.walk import STANDARD, constant_tensor, node_name

_MAX_RANK = 8
# Axes and shapes that rules look into; a weight is longer.
_SMALL = 64


def check_graph(
    model: onnx.ModelProto, dense_limit: int, total_limit: int, sizes: Mapping[str, tuple[int, ...]] | None = None
) -> None:
    """Bound all values of the main graph.

    dense_limit: bytes of all weights, those of CSR ops densified. total_limit: bytes of the weights and of every value.
    sizes: of inputs, by name, that the bounds are for where the file leaves them open.
    Raises TooLargeError, UnsupportedOpError and MalformedModelError.
    """
    graph = model.graph
    constants: dict[str, TensorProto] = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in constants:
            raise MalformedModelError(f"two initializers are called {tensor.name!r}; export it again.")
        constants[tensor.name] = tensor
    shapes: dict[str, Shape] = {name: tuple(tensor.dims) for name, tensor in constants.items()}
    dense = sum(tensor_bytes(tensor) for tensor in constants.values())
    total = dense
    _limit("its weights", dense, dense_limit)
    inputs: set[str] = set()
    for value in graph.input:
        if value.name in inputs:
            raise MalformedModelError(f"{value.name!r} is an input twice; export it again.")
        inputs.add(value.name)
        if value.name in constants:  # files of IR version 3 list their weights, and some exporters' later ones do
            kind, held = value.type.tensor_type, constants[value.name]
            if [dim.dim_value for dim in kind.shape.dim] != list(held.dims) or kind.elem_type != held.data_type:
                raise MalformedModelError(f"{value.name!r} is an input and a weight of another shape; export it again.")
            continue
        shapes[value.name] = _input_shape(value, (sizes or {}).get(value.name))
        total += 8 * math.prod(shapes[value.name])
    opset = max(entry.version for entry in model.opset_import if entry.domain in STANDARD)
    constants |= unpacked_constants(graph.node, constants)  # their bytes are counted where their nodes make them
    known = _Known({}, {})
    for name, tensor in constants.items():
        known.keep(name, tensor)
    for node in graph.node:
        name = node_name(node)
        _check_node(node, name, shapes)
        between: list[Shape] = []
        numbers = None
        if node.domain == DOMAIN:
            weights = check_edge_weights(node, constants)
            *between, last = edge_output_shapes(node, weights, shapes)
            made = [last]
            dense += sum(weight.densified for weight in weights)
            total += sum(weight.densified for weight in weights)
            _limit("its weights, densified,", dense, dense_limit)
        elif node.op_type == "Constant":
            tensor = _constant(node, name)
            made = [tuple(tensor.dims)]
            known.keep(node.output[0], tensor)
            dense += tensor_bytes(tensor)
            _limit("its weights", dense, dense_limit)
        else:
            view = _view(node, name, shapes, known, opset)
            own = OPERATORS if node.domain == MICROSOFT else None
            found = own[node.op_type].rule(view) if own else RULES[node.op_type](view)
            made = found if isinstance(found, list) else [found]
            between += [INNER[node.op_type](view)] if node.op_type in INNER and not own else []
            numbers = VALUES[node.op_type](view) if node.op_type in VALUES and not own else None
        if len(node.output) > len(made):
            raise UnsupportedOpError(f"node {name!r} ({node.op_type}) has {len(node.output)} outputs, too many here.")
        for output, shape in zip(node.output, made, strict=False):
            if output and output in shapes:
                raise MalformedModelError(f"two nodes make the value {output!r}; export it again.")
            if output:
                shapes[output] = shape
        if numbers is not None and len(made[0]) <= 1 and len(numbers) <= _SMALL:
            known.numbers[node.output[0]] = numbers
        # Eight bytes an element, whatever its type: a bound and no forecast.
        total += sum(8 * math.prod(shape) for shape in (*between, *made[: len(node.output)]))
        _limit(f"its values up to {node.output[0]!r}", total, total_limit)
    for value in graph.output:
        if value.name not in shapes:
            raise MalformedModelError(f"no node makes the output {value.name!r}; export it again.")


@dataclass(frozen=True)
class _Known:
    """Entries of small vectors that are constants, or follow from constants and shapes."""

    numbers: dict[str, Numbers]
    floats: dict[str, tuple[float, ...]]

    def keep(self, name: str, tensor: TensorProto) -> None:
        """Take the entries of a tensor that is a number or a short vector."""
        if len(tensor.dims) > 1 or math.prod(tensor.dims) > _SMALL:
            return
        if tensor.data_type in (TensorProto.INT64, TensorProto.INT32):
            self.numbers[name] = tuple(int(entry) for entry in to_array(tensor).ravel())
        elif tensor.data_type == TensorProto.FLOAT:
            self.floats[name] = tuple(float(entry) for entry in to_array(tensor).ravel())


def _constant(node: onnx.NodeProto, name: str) -> TensorProto:
    """The tensor of a Constant node. Raises UnsupportedOpError for texts and sparse tensors."""
    tensor = constant_tensor(node)
    if tensor is None and len(node.attribute) == 1:
        attribute = node.attribute[0]
        kinds = {"value_int": TensorProto.INT64, "value_ints": TensorProto.INT64}
        kinds |= {"value_float": TensorProto.FLOAT, "value_floats": TensorProto.FLOAT}
        if attribute.name in kinds:
            value = onnx.helper.get_attribute_value(attribute)
            dims = [len(value)] if attribute.name.endswith("s") else []
            entries = value if attribute.name.endswith("s") else [value]
            return onnx.helper.make_tensor(name, kinds[attribute.name], dims, entries)
    if tensor is None:
        raise UnsupportedOpError(f"node {name!r} is a Constant that is not a tensor of numbers.")
    return tensor


def _check_node(node: onnx.NodeProto, name: str, shapes: dict[str, Shape]) -> None:
    if node.domain not in (*STANDARD, DOMAIN, MICROSOFT):
        raise UnsupportedOpError(f"node {name!r} is of the operator set {node.domain!r}, which is not read here.")
    if node.domain == MICROSOFT and node.op_type not in OPERATORS:
        raise UnsupportedOpError(f"node {name!r} is a {MICROSOFT}:{node.op_type}, which is not read here.")
    if node.domain in STANDARD and node.op_type not in RULES and node.op_type != "Constant":
        reason = f", {WHY_NOT[node.op_type]}" if node.op_type in WHY_NOT else ""
        raise UnsupportedOpError(f"node {name!r} is a {node.op_type}, an operator that is not read here{reason}.")
    if not any(node.output):
        raise UnsupportedOpError(f"node {name!r} ({node.op_type}) makes nothing.")
    for value in node.input:
        if value and value not in shapes:
            raise MalformedModelError(f"node {name!r} reads {value!r} before any node makes it; export it again.")
    seen = [attribute.name for attribute in node.attribute]
    if len(set(seen)) != len(seen) or any(attribute.ref_attr_name for attribute in node.attribute):
        raise MalformedModelError(f"node {name!r} has an attribute twice, or one without a value; export it again.")


def _input_shape(value: onnx.ValueInfoProto, given: tuple[int, ...] | None) -> Shape:
    tensor = value.type.tensor_type
    if (
        not value.type.HasField("tensor_type")
        or tensor.elem_type not in RUNNABLE
        or not tensor.HasField("shape")
        or len(tensor.shape.dim) > _MAX_RANK
    ):
        raise UnsupportedOpError(
            f"input {value.name!r} has no fixed shape, or no type that is run here; export it with one."
        )
    sizes = []
    for index, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value") and dim.dim_value > 0:
            sizes.append(dim.dim_value)
        elif given is not None and len(given) == len(tensor.shape.dim) and not dim.HasField("dim_value"):
            sizes.append(given[index])
        elif index == 0 and not dim.HasField("dim_value"):
            sizes.append(1)
        else:
            raise UnsupportedOpError(
                f"dimension {index} of input {value.name!r} is not fixed; only the batch may vary, unless its "
                "size is given with --input."
            )
    return tuple(sizes)


def _view(node: onnx.NodeProto, name: str, shapes: dict[str, Shape], known: _Known, opset: int) -> NodeView:
    types, least, most = _signature(node, name, opset)
    for attribute in node.attribute:
        if types.get(attribute.name) != attribute.type:
            raise MalformedModelError(f"node {name!r} ({node.op_type}) has no such attribute {attribute.name!r}.")
    if not least <= len(node.input) <= most:
        raise MalformedModelError(f"node {name!r} ({node.op_type}) has {len(node.input)} inputs; export it again.")
    return NodeView(
        name=name,
        op=node.op_type,
        shapes=tuple(shapes[value] if value else None for value in node.input),
        constants={index: known.numbers[value] for index, value in enumerate(node.input) if value in known.numbers},
        attributes={attribute.name: attribute for attribute in node.attribute},
        floats={index: known.floats[value] for index, value in enumerate(node.input) if value in known.floats},
        outputs=len(node.output),
        opset=opset,
    )


def _signature(node: onnx.NodeProto, name: str, opset: int) -> tuple[Mapping[str, int], int, int]:
    """The types of an operator's attributes, and the fewest and the most inputs."""
    if node.domain == MICROSOFT:
        own = OPERATORS[node.op_type]
        return own.attributes, own.least, own.most
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise UnsupportedOpError(f"node {name!r} is a {node.op_type}, which operator set {opset} lacks.") from error
    types = {key: int(cast("SupportsInt", attribute.type)) for key, attribute in schema.attributes.items()}
    return types, schema.min_input, schema.max_input


def _limit(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(
            f"{what} would take {size} bytes of memory, more than the {limit} allowed for a file of its size."
        )
