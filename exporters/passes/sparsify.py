"""[activation] ∘ [Add] ∘ Conv → CsrConv | CsrConvAdd; [activation] ∘ Gemm → CsrGemm; see ``exporters.layers``.

Zeros in blocks of output channels make it BlockCsrConv or BlockCsrConvAdd, if ``select`` agrees; at most N non-zeros
of each M input channels make it NmConv, NmConvAdd or NmGemm, where that takes fewer bytes than CSR.
``select`` is asked for each convolution of one group and each linear layer, but for the stem. A depthwise convolution
next to a sparse layer, and a stem before one, become dense ops of our domain, so that no layout reorder comes between
them; all else stays as it is. When every convolution stays dense, the network stays standard ONNX.

What stands around linear layers of more than two dimensions, convolutions over one side and transposed ones:
:mod:`exporters.passes._around`. A weight that several layers have is stored once.
Requires: constant float32 weights, one name a node (:mod:`exporters.from_onnx`). Ensures: layers not converted are
untouched; ``reports`` has every layer that holds weights in the graph's order.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporters.layers import Decide, Decision, ExportedLayer, FloatDtype
from exporters.layers.find import find_layers, share_adds
from exporters.layers.layer import Layer
from exporters.layers.others import report_other
from exporters.network import NetworkRule, network_of
from exporters.ops import DOMAIN, OPS, VERSION, build_node, csr_constants, nm_constants, op_for
from exporters.ops._op import Attribute
from exporters.passes._around import around
from exporters.passes._weight_store import WeightStore
from exporters.weights.nm import Nm

_IN_HALF = ("CsrConv", "CsrConvAdd")
_ALL_DENSE = "no convolution of the network becomes sparse, so all of it stays standard ONNX"


class Sparsify(ir.passes.InPlacePass):
    """Conv, Gemm → CsrConv, BlockCsrConv, CsrGemm where ``select`` says so."""

    def __init__(
        self, select: Decide | NetworkRule, weight_dtype: FloatDtype = "float32", compute_dtype: FloatDtype = "float32"
    ) -> None:
        self._select, self._weight_dtype, self._compute_dtype = select, weight_dtype, compute_dtype
        self.reports: tuple[ExportedLayer, ...] = ()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Decide, replace, report. Raises NonFiniteWeightsError, UnsupportedModelError."""
        layers = find_layers(model.graph)
        decide = self._select.decide(network_of(layers)) if isinstance(self._select, NetworkRule) else self._select
        decisions = {layer.name: _decision(layer, decide) for layer in layers}
        layers = share_adds(layers, lambda layer: decisions[layer.name].sparse)
        ops = _choose_ops(layers, decisions, self._weight_dtype)
        rows = {node: report_other(node) for node in model.graph}
        for layer in layers:
            op = ops.get(layer.name)
            reason = decisions[layer.name].reason
            if op is None:
                reason = f"{reason}; {_ALL_DENSE}" if decisions[layer.name].sparse and not ops else reason
            elif not OPS[op].is_sparse:
                reason = "next to a sparse layer, kept in its layout"
            rows[layer.node] = [layer.report(op, reason, self._weight_dtype)]
        weights = WeightStore(model.graph)
        for layer in layers:
            if layer.name in ops:
                _replace(model.graph, layer, ops[layer.name], self._weight_dtype, self._compute_dtype, weights)
        self.reports = tuple(row for found in rows.values() for row in found)
        if ops:
            model.graph.opset_imports[DOMAIN] = VERSION
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, bool(ops))


def _decision(layer: Layer, decide: Decide) -> Decision:
    if layer.is_candidate:
        return decide(layer.info())
    return Decision(sparse=False, reason=layer.why_dense)


def _choose_ops(layers: list[Layer], decisions: dict[str, Decision], weight_dtype: FloatDtype) -> dict[str, str]:
    """The op of our domain for each layer that becomes one."""
    sparse = [layer for layer in layers if decisions[layer.name].sparse]
    ops = {layer.name: _sparse_name(layer, decisions[layer.name], weight_dtype) for layer in sparse}
    convolutions = {layer.name for layer in layers if layer.kind == "conv"}
    if convolutions and not convolutions & ops.keys():
        return {}
    by_output = {layer.last.outputs[0]: layer for layer in layers}
    # Depthwise first, then the stem, which may stand before a depthwise that has just been chosen.
    for kind, op in (("depthwise", "DepthwiseConv"), ("stem", "DenseConv")):
        for layer in layers:
            # A stem of another window than images' runs its rows of outputs a few at a time, and slower than dense.
            if layer.kind != kind or (kind == "stem" and layer.kernel[0] != layer.kernel[1]):
                continue
            source = by_output.get(layer.source)
            users = {layer_.name for layer_ in layers if layer_.source is layer.last.outputs[0]}
            if users & ops.keys() or (source is not None and source.name in ops):
                ops[layer.name] = _name(op, layer)
    return ops


def _sparse_name(layer: Layer, decision: Decision, weight_dtype: FloatDtype) -> str:
    if layer.block_rows > 1 and decision.in_blocks:
        return _name("Block" + layer.sparse_op, layer)
    return _name(layer.sparse_op.replace("Csr", "Nm") if layer.nm_group(weight_dtype) else layer.sparse_op, layer)


def _name(op: str, layer: Layer) -> str:
    return op_for(op, layer.found.activation).name


def _replace(
    graph: ir.Graph,
    layer: Layer,
    op: str,
    weight_dtype: FloatDtype,
    compute_dtype: FloatDtype,
    weights: WeightStore,
) -> None:
    attributes: dict[str, Attribute] = {}
    if OPS[op].activation == "clip":
        attributes |= {"clip_min": layer.found.clip[0], "clip_max": layer.found.clip[1]}
    if layer.weight.ndim == 4:
        attributes |= {"strides": layer.strides, "pads": layer.pads, "dilations": layer.dilations}
    elif layer.rows > 1:
        attributes["rows"] = layer.rows  # how many there are at a time is no part of the op's meaning
    if OPS[op].base == "DepthwiseConv":
        attributes["group"] = layer.group
    constants = {"W": layer.weight}
    if OPS[op].is_sparse:
        stored = layer.stored(op, weight_dtype)
        constants = nm_constants(stored) if isinstance(stored, Nm) else csr_constants(stored)
        if isinstance(stored, Nm):
            attributes["m"] = stored.m
        elif compute_dtype == "float16" and OPS[op].base in _IN_HALF and stored.values.dtype == np.float16:
            attributes["float16_arithmetic"] = 1  # no part of the op's meaning, so the function body does not name it
    old, placed = layer.nodes, around(layer, weights)
    inputs = {"X": placed.source, **weights.get(layer.name, constants)}
    # Where the file has the bias as it is needed, it stays the initializer that it is: another layer may share it.
    inputs["bias"] = layer.bias_value or weights.get(layer.name, {"bias": layer.bias})["bias"]
    if placed.residual is not None:
        inputs["residual"] = placed.residual
    node, _ = build_node(OPS[op], layer.name, inputs, {}, attributes)
    new = [*placed.before, node, *placed.after(node.outputs[0])]
    ir.convenience.replace_nodes_and_values(graph, old[-1], old, new, old[-1].outputs, new[-1].outputs)
