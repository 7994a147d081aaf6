"""onnx_ir model → ModelProto → bytes, the same for the same model in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    import onnx_ir as ir

IR_VERSION = 10


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """The model as a protobuf, with shapes of activations only: those of initializers are in the initializers."""
    import onnx_ir

    model.ir_version = max(IR_VERSION, model.ir_version)  # a newer operator set may need a newer one
    proto = onnx_ir.to_proto(model)
    initializers = {tensor.name for tensor in proto.graph.initializer}
    shapes = [info for info in proto.graph.value_info if info.name not in initializers]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(shapes)
    for tensor in proto.graph.initializer:
        tensor.ClearField("doc_string")
        del tensor.metadata_props[:]
    return proto


def to_bytes(model: onnx.ModelProto) -> bytes:
    """Serialise the model to the bytes that :func:`exporters.save` writes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data
