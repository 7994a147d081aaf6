"""Conversion of any exporter's ONNX model to the graph of the passes: one operator set, names, known shapes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx

from exporters.errors import UnsupportedModelError
from exporters.old_operators import keep_meaning
from exporters.ops import OPSET

if TYPE_CHECKING:
    import onnx_ir as ir

_STANDARD = ("", "ai.onnx")
_IR_VERSION = 4


def to_graph(dense: onnx.ModelProto, least_opset: int = OPSET, *, every_shape: bool = False) -> ir.Model:
    """Parse ``dense``, without changing it, into the form that :class:`~exporters.passes.Sparsify` requires.

    Operator sets older than ``least_opset``, that of the function bodies, become it; initializers that are listed among
    the inputs become constants, and so do Constant nodes that layers read; nodes without a name, or with another's, are
    called after what they make; where a layer's output has no shape, or if ``every_shape``, shapes are inferred. A
    model that has all this stays as it is.
    Raises UnsupportedModelError where ONNX cannot convert the operator set.
    """
    import onnx_ir as ir

    model = ir.from_proto(_with_shapes(_with_new_opset(dense, least_opset), every_shape))
    for name in [value.name for value in model.graph.inputs if value.is_initializer()]:
        model.graph.inputs.remove(next(value for value in model.graph.inputs if value.name == name))
    _lift_constants(model)
    _name_nodes(model.graph)
    return model


def opset_of(model: onnx.ModelProto) -> int | None:
    """The version of standard ONNX that the model imports."""
    return max((entry.version for entry in model.opset_import if entry.domain in _STANDARD), default=None)


def _with_new_opset(dense: onnx.ModelProto, least: int) -> onnx.ModelProto:
    opset = opset_of(dense)
    if opset is None or opset >= least:
        return dense
    given = onnx.ModelProto()
    given.CopyFrom(dense)
    # Before version 4 of the file format weights had to be inputs too; the converter insists on it, exporters did not.
    given.ir_version = max(given.ir_version, _IR_VERSION)
    try:
        converted: onnx.ModelProto = onnx.version_converter.convert_version(given, least)
    except Exception as error:  # its C++ raises RuntimeError, ConvertError, IndexError and others
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise UnsupportedModelError(
            f"The model uses version {opset} of ONNX's operator set, and ONNX cannot convert it to version {least}, "
            f"which sparse layers need ({reason[0]}); export the network again with opset {least} or newer."
        ) from error
    keep_meaning(given, converted, opset)
    return converted


def _with_shapes(model: onnx.ModelProto, every: bool) -> onnx.ModelProto:
    known = {value.name for value in (*model.graph.value_info, *model.graph.output) if _has_shape(value)}
    layers = [node for node in model.graph.node if node.domain in _STANDARD and node.op_type in ("Conv", "MatMul")]
    if not every and all(name in known for node in layers for name in node.output):
        return model
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # contradictory nodes; the layers then stay dense, and their report says that sizes are unknown
        return model


def _has_shape(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(
        dim.HasField("dim_value") or (index == 0 and dim.HasField("dim_param"))
        for index, dim in enumerate(tensor.shape.dim)
    )


def _lift_constants(model: ir.Model) -> None:
    from onnx_ir.passes.common import LiftConstantsToInitializersPass

    if any(node.op_type == "Constant" and not node.domain for node in model.graph):
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)


def _name_nodes(graph: ir.Graph) -> None:
    counts = Counter(node.name for node in graph)
    taken = {name for name, count in counts.items() if name and count == 1}
    for node in graph:
        if node.name and counts[node.name] == 1:
            continue
        stem = node.name or (node.outputs[0].name if node.outputs else "") or node.op_type.lower()
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem}_{count}"
        node.name = name
        taken.add(name)
