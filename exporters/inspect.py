"""Description of a model file: a row per layer, and totals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from exporters.layers import Format
from exporters.layers.weighted_ops import LEFT, PLACES, REASONS, is_weight
from exporters.ops import DOMAIN
from exporters.read import read
from exporters.untrusted.csr_nodes import check_edge_weights, op_of
from exporters.untrusted.edge_weight import EdgeWeight
from exporters.untrusted.packed import unpacked_constants
from exporters.untrusted.tensors import tensor_bytes, to_array
from exporters.untrusted.walk import STANDARD, graphs, node_name

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


@dataclass(frozen=True)
class FileLayer:
    """A layer of a file. shape: of the dense weight. bytes: weights and bias as stored; bytes_dense: as float32.

    shares: the layer further up that has the same weight, which totals count once; empty where there is none. reason:
    why it is dense; empty for what is sparse.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    format: Format
    nnz: int
    sparsity: float
    bytes: int
    bytes_dense: int
    shares: str = ""
    reason: str = ""


@dataclass(frozen=True)
class FileReport:
    """A model file.

    bytes: of the file. opset: of standard ONNX, None when none is imported. sparse_ops: whether ops of ``chita.edge``
    are in it. inputs, outputs: names and dimensions. other_ops: how often each op without constant weights occurs,
    ``domain:op`` for one that is not of standard ONNX. Names are the file's, and may hold any character.
    """

    path: str
    bytes: int
    opset: int | None
    sparse_ops: bool
    inputs: tuple[tuple[str, tuple[int | str, ...]], ...]
    outputs: tuple[tuple[str, tuple[int | str, ...]], ...]
    layers: tuple[FileLayer, ...]
    other_ops: tuple[tuple[str, int], ...]

    @property
    def stored(self) -> tuple[FileLayer, ...]:
        """The layers that have a weight of their own."""
        return tuple(layer for layer in self.layers if not layer.shares)

    @property
    def weights(self) -> int:
        """Weights of all layers, zeros among them; those that several layers share count once."""
        return sum(math.prod(layer.shape) for layer in self.stored)

    @property
    def nnz(self) -> int:
        """Non-zero weights of all layers; those that several layers share count once."""
        return sum(layer.nnz for layer in self.stored)

    @property
    def sparsity(self) -> float:
        """Share of zeros among the weights of all layers; 0 without layers."""
        return 1 - self.nnz / self.weights if self.weights else 0.0

    @property
    def bytes_dense(self) -> int:
        """Bytes of all layers as float32; a layer that shares its weight adds none."""
        return sum(layer.bytes_dense for layer in self.stored)


def inspect(path: str | Path) -> FileReport:
    """Describe the ONNX file at ``path``, ours or another's, whatever operators it uses; nothing in it is run.

    Layers and other operators are those of the graph and of the branches and loop bodies in it. Raises LoadError.
    """
    source = read(path)
    model = source.model
    rows, others, sparse_ops = list[FileLayer](), dict[str, int](), False
    owners: dict[int, tuple[str, TensorProto]] = {}  # by a tensor's identity, so it is kept: the first layer with it
    for graph, plain in graphs(model):
        packed = unpacked_constants(graph.node, plain)
        constants = {**plain, **packed}
        for node in graph.node:
            sparse_ops |= node.domain == DOMAIN
            found = _edge_rows(node, constants, packed) if node.domain == DOMAIN else _standard_rows(node, constants)
            for row, tensor in found:
                shared = owners.get(id(tensor))
                rows.append(replace(row, shares=shared[0]) if shared else row)
                owners.setdefault(id(tensor), (row.name, tensor))
            if not found:
                op = node.op_type if node.domain in STANDARD else f"{node.domain}:{node.op_type}"
                others[op] = others.get(op, 0) + 1
    weights = {tensor.name for tensor in model.graph.initializer}
    return FileReport(
        path=str(path),
        bytes=source.file_bytes,
        opset=max((entry.version for entry in model.opset_import if entry.domain in STANDARD), default=None),
        sparse_ops=sparse_ops,
        # Old files list their weights among the inputs.
        inputs=tuple((value.name, _shape(value)) for value in model.graph.input if value.name not in weights),
        outputs=tuple((value.name, _shape(value)) for value in model.graph.output),
        layers=tuple(rows),
        other_ops=tuple(sorted(others.items())),
    )


def _edge_rows(
    node: onnx.NodeProto, constants: Mapping[str, TensorProto], packed: Mapping[str, TensorProto]
) -> list[tuple[FileLayer, TensorProto]]:
    """A row for each weight, and the tensor that holds it: of a chain, one a stage."""
    weights = check_edge_weights(node, constants)
    inputs = dict(zip(op_of(node).inputs, node.input, strict=True))
    names = node_name(node).split("+")
    if len(names) != len(weights):
        names = [node_name(node) + weight.suffix for weight in weights]
    return [_edge_row(name, weight, inputs, constants, packed) for name, weight in zip(names, weights, strict=True)]


def _edge_row(
    name: str,
    weight: EdgeWeight,
    inputs: Mapping[str, str],
    constants: Mapping[str, TensorProto],
    packed: Mapping[str, TensorProto],
) -> tuple[FileLayer, TensorProto]:
    op, size = weight.op, math.prod(weight.shape)
    held = constants[inputs[("values" if op.is_sparse else "W") + weight.suffix]]
    arrays = {key: to_array(constants[inputs[key + weight.suffix]]) for key in op.constants}
    nnz = int(np.count_nonzero(arrays["values" if op.is_sparse else "W"]))
    kind = weight.format or ("depthwise" if op.base == "DepthwiseConv" else "dense")
    halves = {key: 2 if inputs[key + weight.suffix] in packed else 1 for key in arrays}
    stored, dense = sum(array.nbytes // halves[key] for key, array in arrays.items()), 4 * size + arrays["bias"].nbytes
    kept = "it has no blocks" if op.base.startswith("Q") else "next to a sparse layer, kept in its layout"
    reason = "" if op.is_sparse else kept
    return FileLayer(name, op.name, weight.shape, kind, nnz, 1 - nnz / size, stored, dense, reason=reason), held


def _standard_rows(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> list[tuple[FileLayer, TensorProto]]:
    """A row and the tensor for each weight of the node that is a constant; the first row's bytes include the biases."""
    if node.domain not in STANDARD or node.op_type not in PLACES:
        return []
    places = PLACES[node.op_type]
    tensors = {index: constants[name] for index, name in enumerate(node.input) if name in constants}
    rest = [tensor for index, tensor in tensors.items() if index and index not in places]
    rows = list[tuple[FileLayer, TensorProto]]()
    for index, suffix in places.items():
        tensor = tensors.get(index)
        shape = () if tensor is None else tuple(tensor.dims)
        size = math.prod(shape)
        if tensor is None or not size or not is_weight(node.op_type, index, len(shape), tensor.data_type in _FLOATS):
            continue
        if tensor.data_type == TensorProto.STRING:
            continue
        parts = [tensor] if rows else [tensor, *rest]
        nnz = int(np.count_nonzero(to_array(tensor)))
        row = FileLayer(
            name=node_name(node) + suffix,
            op=node.op_type,
            shape=shape,
            format="depthwise" if _groups(node) == shape[0] > 1 else "dense",
            nnz=nnz,
            sparsity=1 - nnz / size,
            bytes=sum(tensor_bytes(part) for part in parts),
            bytes_dense=sum(4 * math.prod(part.dims) for part in parts),
            reason=LEFT if node.op_type == "MatMul" and index == 0 else _why_dense(node, shape, nnz / size),
        )
        rows.append((row, tensor))
    return rows


def _why_dense(node: onnx.NodeProto, shape: tuple[int, ...], density: float) -> str:
    """What the node alone says; the export's report says it of a target."""
    if node.op_type in REASONS:
        return REASONS[node.op_type]
    if _groups(node) > 1 and node.op_type == "Conv":
        return "it is a depthwise convolution" if _groups(node) == shape[0] else "it is a grouped convolution"
    if node.op_type in ("Conv", "ConvTranspose") and len(shape) > 4:
        return f"it is a convolution over {len(shape) - 2} dimensions"
    return (
        "it has no zeros" if density == 1 else "the file stores it dense; `export` says what its zeros gain on a target"
    )


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim
    )
