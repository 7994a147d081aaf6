"""A convolution or linear layer with what is fused into it: bias, residual, activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, cast

import numpy as np
import onnx_ir as ir

from exporters import nm
from exporters.csr import Array, Csr, find_blocks, from_dense, in_half_precision
from exporters.errors import NonFiniteWeightsError, UnsupportedModelError
from exporters.layers import LayerInfo, LayerReport, Values
from exporters.nm import Nm
from exporters.ops import OPS
from exporters.passes._activation import Found, find_activation
from exporters.passes._graph import constant, ints, only_user, static_shape

Kind = Literal["conv", "gemm", "depthwise", "stem", "other"]
# Input channels of a stem at most: grey, colour, colour with depth or alpha.
_STEM_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Layer:
    """A Conv or Gemm and the nodes after it that an op of our domain would take in."""

    node: ir.Node
    weight: Array
    bias: Array
    add: ir.Node | None
    found: Found = field(default_factory=Found)
    """The activation."""

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name or ""

    # source and residual are looked up and not stored: replacing an earlier layer replaces its output value.
    @property
    def source(self) -> ir.Value:
        """The activation that the layer reads."""
        return cast("ir.Value", self.node.inputs[0])  # find_layers has seen that it is there

    @property
    def bias_value(self) -> ir.Value:
        """The initializer that holds the bias."""
        return cast("ir.Value", self.node.inputs[2])  # likewise

    @property
    def residual(self) -> ir.Value | None:
        """The other operand of ``add``."""
        return None if self.add is None else _other_operand(self.add, self.node.outputs[0])

    @property
    def last(self) -> ir.Node:
        """The last of the nodes that belong to the layer."""
        return self.nodes[-1]

    def without_add(self) -> Layer:
        """The layer, the Add after it left to another."""
        return replace(self, add=None, found=Found())

    @property
    def nodes(self) -> list[ir.Node]:
        """The nodes that an op of our domain replaces, in order."""
        return [self.node, *([] if self.add is None else [self.add]), *self.found.nodes]

    @cached_property
    def group(self) -> int:
        """Groups of the convolution."""
        return self.node.attributes["group"].as_int() if "group" in self.node.attributes else 1

    @cached_property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return (self.weight.shape[2], self.weight.shape[3]) if self.weight.ndim == 4 else (1, 1)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Strides (height, width)."""
        return ints(self.node, "strides", (1, 1))

    @cached_property
    def pads(self) -> tuple[int, ...]:
        """Padding (top, left, bottom, right)."""
        return ints(self.node, "pads", (0, 0, 0, 0))

    @cached_property
    def dilations(self) -> tuple[int, ...]:
        """Dilations (height, width)."""
        return ints(self.node, "dilations", (1, 1))

    @cached_property
    def out_pixels(self) -> int | None:
        """Output height × width; None when it is not fixed."""
        if self.weight.ndim == 2:
            return 1
        shape = static_shape(self.node.outputs[0])
        if shape is None or len(shape) != 4 or shape[2] is None or shape[3] is None:
            return None
        return shape[2] * shape[3]

    @cached_property
    def kind(self) -> Kind:
        """What the layer could become."""
        if self.why_other:
            return "other"
        if self.weight.ndim == 2:
            return "gemm"
        if self.group > 1:
            return "depthwise"
        if self.source.is_graph_input() and self.kernel != (1, 1) and self.weight.shape[1] <= _STEM_CHANNELS:
            return "stem"
        return "conv"

    @cached_property
    def why_other(self) -> str:
        """Why no op of our domain can take the layer's place; empty when one can."""
        if self.out_pixels is None:
            return "its output size is not fixed"
        if self.group > 1 and not (self.weight.shape[1] == 1 and self.weight.shape[0] == self.group):
            return "it is a grouped convolution"
        if "auto_pad" in self.node.attributes and self.node.attributes["auto_pad"].as_string() != "NOTSET":
            return "its padding is automatic"
        return ""

    @property
    def why_dense(self) -> str:
        """Why ``decide`` is not asked."""
        return {"depthwise": "it is a depthwise convolution", "stem": "it is the stem"}.get(self.kind, self.why_other)

    @property
    def is_candidate(self) -> bool:
        """Whether the layer may become CSR."""
        return self.kind in ("conv", "gemm")

    @property
    def sparse_op(self) -> str:
        """The op of ours that it could become: CSR, or dense for the kinds that stay dense; else the one that it is."""
        if self.kind == "other":
            return self.node.op_type
        if self.kind in ("depthwise", "stem"):
            return "DepthwiseConv" if self.kind == "depthwise" else "DenseConv"
        if self.weight.ndim == 2:
            return "CsrGemm"
        return "CsrConv" if self.residual is None else "CsrConvAdd"

    @cached_property
    def nnz(self) -> int:
        """Non-zero weights."""
        return int(np.count_nonzero(self.weight))

    @cached_property
    def block_rows(self) -> int:
        """Output channels that share their columns; 1 for what no op in blocks can take."""
        return find_blocks(self.weight) if self.kind == "conv" else 1

    def csr(self, values: Values, in_blocks: bool = False) -> Csr:
        """The weight as it is stored in a CSR op."""
        exact = from_dense(self.weight, self.block_rows if in_blocks else 1)
        return in_half_precision(exact) if values == "float16" else exact

    def nm_group(self, values: Values) -> int:
        """Channels of a group in which N:M takes fewer bytes than CSR; 0 where there are none or no op can take it."""
        return nm.find_group(self.weight, self.csr(values)) if self.is_candidate else 0

    def stored(self, op: str, values: Values) -> Csr | Nm:
        """The weight as that sparse op stores it."""
        if not OPS[op].is_nm:
            return self.csr(values, OPS[op].in_blocks)
        exact = nm.from_dense(self.weight, self.nm_group(values))
        return nm.in_half_precision(exact) if values == "float16" else exact

    def info(self) -> LayerInfo:
        """The layer as ``decide`` sees it."""
        return LayerInfo(
            name=self.name,
            op=self.sparse_op,
            out_channels=self.weight.shape[0],
            in_channels=self.weight.shape[1],
            kernel=self.kernel,
            stride=(self.strides[0], self.strides[1]),
            out_pixels=self.out_pixels or 1,
            nnz=self.nnz,
            sparsity=1 - self.nnz / self.weight.size,
            block_rows=self.block_rows,
            block_density=self.csr("float32", True).values.size / self.weight.size if self.block_rows > 1 else 0.0,
        )

    def report(self, op: str | None, reason: str, values: Values = "float32") -> LayerReport:
        """What became of it: ``op`` of our domain, or None when it stays as it is."""
        bytes_dense = self.weight.nbytes + self.bias.nbytes
        stored = self.stored(op, values) if op is not None and OPS[op].is_sparse else None
        macs = stored.nnz if isinstance(stored, Nm) else stored.values.size if stored else self.weight.size
        pixels = self.out_pixels or 0
        return LayerReport(
            name=self.name,
            op=op or self.node.op_type,
            shape=tuple(self.weight.shape),
            sparsity=1 - self.nnz / self.weight.size,
            nnz=self.nnz,
            format=stored.format if stored else "depthwise" if self.kind == "depthwise" else "dense",
            reason=reason,
            bytes_dense=bytes_dense,
            bytes=stored.nbytes + self.bias.nbytes if stored else bytes_dense,
            macs_dense=self.weight.size * pixels,
            macs=macs * pixels,
        )


def find_layers(graph: ir.Graph) -> list[Layer]:
    """All Conv and Gemm nodes with constant weights, in the graph's order.

    Raises NonFiniteWeightsError and UnsupportedModelError (weights that are not float32).
    """
    return [layer for node in graph if (layer := _layer(node)) is not None]


def share_adds(layers: list[Layer], is_sparse: Callable[[Layer], bool]) -> list[Layer]:
    """Leave each Add to one layer: where two convolutions meet, to a sparse one, and to the later of two alike."""
    owners = {layer.add: layer for layer in sorted(layers, key=is_sparse)}
    return [layer if layer.add is None or owners[layer.add] is layer else layer.without_add() for layer in layers]


def _layer(node: ir.Node) -> Layer | None:
    if node.domain or node.op_type not in ("Conv", "Gemm") or len(node.inputs) < 3:
        return None
    weight, bias = constant(node.inputs[1]), constant(node.inputs[2])
    if node.inputs[0] is None or weight is None or bias is None or bias.ndim != 1:
        return None
    if node.op_type == "Conv" and weight.ndim != 4:
        return None
    if node.op_type == "Gemm" and not _is_linear(node):
        return None
    _check(node.name or node.op_type, weight, bias)
    alone = Layer(node, weight, bias, None, find_activation(node.outputs[0]))
    add = _residual_add(node) if alone.kind == "conv" else None
    if add is None:
        return alone
    return replace(alone, add=add, found=find_activation(add.outputs[0]))


def _check(name: str, weight: Array, bias: Array) -> None:
    if weight.dtype != np.float32 or bias.dtype != np.float32:
        raise UnsupportedModelError(
            f"Layer {name} has weights of type {weight.dtype} and a bias of type {bias.dtype}; "
            "only float32 networks are exported. Call model.float() first."
        )
    for what, array in (("weights", weight), ("bias", bias)):
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise NonFiniteWeightsError(
                f"Layer {name}: {bad} of {array.size} {what} are NaN or infinite; train or load the network again."
            )


def _is_linear(node: ir.Node) -> bool:
    def attribute(name: str, default: float) -> float:
        return float(node.attributes[name].value) if name in node.attributes else default

    return (
        attribute("transB", 0) == 1
        and attribute("transA", 0) == 0
        and attribute("alpha", 1) == 1
        and attribute("beta", 1) == 1
    )


def _residual_add(node: ir.Node) -> ir.Node | None:
    """The Add after a convolution, unless its operands broadcast."""
    output = node.outputs[0]
    add = only_user(output)
    if add is None or add.op_type != "Add" or add.domain:
        return None
    other = _other_operand(add, output)
    if other is None or other.shape is None or constant(other) is not None:
        return None
    return add if other.shape == output.shape else None


def _other_operand(add: ir.Node, operand: ir.Value) -> ir.Value | None:
    return add.inputs[1] if add.inputs[0] is operand else add.inputs[0]
