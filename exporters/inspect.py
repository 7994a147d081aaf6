"""What is in a model file: a row per layer, and totals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from exporters.layers import Format
from exporters.load import load
from exporters.ops import DOMAIN, OPS


@dataclass(frozen=True)
class LayerRow:
    """A layer of a file. shape: of the dense weight. bytes: weights and bias as stored; bytes_dense: as float32."""

    name: str
    op: str
    shape: tuple[int, ...]
    format: Format
    nnz: int
    sparsity: float
    bytes: int
    bytes_dense: int


@dataclass(frozen=True)
class FileReport:
    """A model file.

    bytes: of the file. opset: of standard ONNX. sparse_ops: whether ops of ``chita.edge`` are in it. inputs, outputs:
    names and dimensions. other_ops: how often each op without weights occurs.
    """

    path: str
    bytes: int
    opset: int
    sparse_ops: bool
    inputs: tuple[tuple[str, tuple[int | str, ...]], ...]
    outputs: tuple[tuple[str, tuple[int | str, ...]], ...]
    layers: tuple[LayerRow, ...]
    other_ops: tuple[tuple[str, int], ...]

    @property
    def weights(self) -> int:
        """Weights of all layers, zeros among them."""
        return sum(int(np.prod(layer.shape)) for layer in self.layers)

    @property
    def nnz(self) -> int:
        """Non-zero weights of all layers."""
        return sum(layer.nnz for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """Share of zeros among the weights of all layers; 0 without layers."""
        return 1 - self.nnz / self.weights if self.weights else 0.0

    @property
    def bytes_dense(self) -> int:
        """Bytes of all layers as float32."""
        return sum(layer.bytes_dense for layer in self.layers)


def inspect(path: str | Path) -> FileReport:
    """Describe the ONNX file at ``path``, ours or another's. Raises LoadError."""
    model = load(path)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    rows, others = [], dict[str, int]()
    for node in model.graph.node:
        row = _edge_row(node, constants) if node.domain == DOMAIN else _standard_row(node, constants)
        if row is None:
            others[node.op_type] = others.get(node.op_type, 0) + 1
        else:
            rows.append(row)
    return FileReport(
        path=str(path),
        bytes=Path(path).stat().st_size,
        opset=next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        sparse_ops=any(node.domain == DOMAIN for node in model.graph.node),
        inputs=tuple((value.name, _shape(value)) for value in model.graph.input),
        outputs=tuple((value.name, _shape(value)) for value in model.graph.output),
        layers=tuple(rows),
        other_ops=tuple(sorted(others.items())),
    )


def _edge_row(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> LayerRow:
    op = OPS[node.op_type]
    arrays = {
        key: numpy_helper.to_array(constants[name])
        for key, name in zip(op.inputs, node.input, strict=True)
        if key in op.constants
    }
    shape = tuple(int(d) for d in arrays["weight_shape"]) if op.is_csr else arrays["W"].shape
    size = int(np.prod(shape))
    nnz = int(np.count_nonzero(arrays["values" if op.is_csr else "W"]))
    kind: Format = "csr" if op.is_csr else "depthwise" if op.name == "DepthwiseConv" else "dense"
    stored = sum(array.nbytes for array in arrays.values())
    return LayerRow(node.name, op.name, shape, kind, nnz, 1 - nnz / size, stored, 4 * size + arrays["bias"].nbytes)


def _standard_row(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> LayerRow | None:
    if node.op_type not in ("Conv", "Gemm", "MatMul") or len(node.input) < 2 or node.input[1] not in constants:
        return None
    weight = numpy_helper.to_array(constants[node.input[1]])
    if not weight.size:
        return None
    stored = sum(numpy_helper.to_array(constants[name]).nbytes for name in node.input[1:] if name in constants)
    nnz = int(np.count_nonzero(weight))
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    kind: Format = "depthwise" if groups == weight.shape[0] > 1 else "dense"
    return LayerRow(node.name, node.op_type, weight.shape, kind, nnz, 1 - nnz / weight.size, stored, stored)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim
    )
