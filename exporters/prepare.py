"""Any exporter's ONNX model → one form: today's operator set, float32, constants folded, names and shapes known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx

from exporters.errors import ExportError, MalformedModelError

if TYPE_CHECKING:
    import onnx_ir as ir

# Whatever is constant is folded, weights that a graph transposes or makes from a shape too.
_ANY_SIZE = 1 << 40
_MOST = 1 << 28
_QUANTISED = ("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear")
_GROWING = ("ConstantOfShape", "Expand", "EyeLike", "OneHot", "Pad", "Range", "Resize", "Tile")


def prepare(dense: onnx.ModelProto, *, fold_batch_norm: bool = False) -> onnx.ModelProto:
    """The same network as :mod:`exporters.interpreter` and :func:`exporters.to_sparse` read it best.

    Older operator sets become today's, half precision float32, weights of any form initializers; nodes that pass on
    what they are given (Identity, Dropout) go. Inputs and outputs keep their names and
    open sizes, and their types but half precision.

    dense: from :func:`exporters.load`, left as it was. fold_batch_norm: also into the convolution before.
    Raises UnsupportedModelError where ONNX cannot convert the operator set, and LoadError for sparse weights that are
    none.
    """
    try:
        return _prepared(dense, fold_batch_norm)
    except (ExportError, MemoryError):
        raise
    except Exception as error:  # the readers and passes of others raise what they meet in a malformed graph
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise MalformedModelError(f"its graph contradicts itself ({reason}); export it again.") from error


def _prepared(dense: onnx.ModelProto, fold_batch_norm: bool) -> onnx.ModelProto:
    import onnxscript.optimizer
    from onnx_ir.passes.common import IdentityEliminationPass, LiftConstantsToInitializersPass, RemoveUnusedNodesPass

    from exporters.from_onnx import to_graph
    from exporters.half_precision import to_float32
    from exporters.serialize import to_proto
    from exporters.sparse_initializers import densify

    given = onnx.ModelProto()
    given.CopyFrom(dense)
    densify(given)
    to_float32(given)
    graph = to_graph(given)
    _drop_dropout(graph)
    onnxscript.optimizer.fold_constants(
        graph,
        onnx_shape_inference=False,
        input_size_limit=_ANY_SIZE,
        output_size_limit=_ANY_SIZE,
        should_fold=_is_bounded,
    )
    if fold_batch_norm:
        _fold_batch_norms(graph)
    IdentityEliminationPass()(graph)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(graph)
    RemoveUnusedNodesPass()(graph)
    return to_proto(graph)


def _is_bounded(node: ir.Node) -> bool | None:
    """Refuse to fold what makes much of little: a file may ask for any size so."""
    if node.op_type in _QUANTISED:
        return False  # integers stay
    if node.op_type not in _GROWING or node.domain:
        return None  # as it is decided anyway
    shape = node.outputs[0].shape
    if node.op_type == "ConstantOfShape" and node.inputs[0] is not None and node.inputs[0].const_value is not None:
        return bool(np.prod(node.inputs[0].const_value.numpy(), dtype=np.float64) <= _MOST)
    if shape is None or not all(isinstance(size, int) for size in shape):
        return False
    return None if math.prod(int(str(size)) for size in shape) <= _MOST else False


def _fold_batch_norms(model: ir.Model) -> None:
    """Fold each batch norm into the convolution before it, whose name and weight's name stay.

    With scale s = γ / √(σ² + ε) per output channel: W ← s·W, bias ← s·(bias − μ) + β. Zeros of W stay zeros.
    """
    from exporters.layers.graph import constant, only_user
    from exporters.ops import initializer

    for node in model.graph:
        convolution = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
        if node.op_type != "BatchNormalization" or convolution is None or convolution.op_type != "Conv":
            continue
        parts = [constant(value) for value in node.inputs[1:5]]
        weight = constant(convolution.inputs[1])
        given = convolution.inputs[2] if len(convolution.inputs) > 2 else None
        bias = constant(given)
        if weight is None or only_user(convolution.outputs[0]) is not node or (given is not None and bias is None):
            continue
        scale, shift, mean, variance = parts
        if scale is None or shift is None or mean is None or variance is None:
            continue
        epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
        factor = (scale / np.sqrt(variance.astype(np.float64) + epsilon)).astype(np.float64)
        moved = (0 if bias is None else bias) - mean.astype(np.float64)
        folded = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
        stem = str(cast("ir.Value", convolution.inputs[1]).name)
        taken = set(model.graph.initializers)
        for place, name, array in ((1, stem, folded), (2, f"{stem}.bias", factor * moved + shift)):
            while name in taken:  # the one of now may have other readers
                name = f"{name}.folded"
            value = initializer(name, array.astype(np.float32))
            model.graph.register_initializer(value)
            convolution.resize_inputs(max(len(convolution.inputs), place + 1))
            convolution.replace_input_with(place, value)
        node.op_type = "Identity"
        node.attributes.clear()
        node.resize_inputs(1)
        node.resize_outputs(1)


def _drop_dropout(model: ir.Model) -> None:
    for node in model.graph:
        if node.op_type == "Dropout" and not node.domain and not any(one.uses() for one in node.outputs[1:]):
            node.op_type = "Identity"
            node.attributes.clear()
            node.resize_inputs(1)
            node.resize_outputs(1)
