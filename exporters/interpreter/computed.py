"""Whether the interpreter's functions do what a node asks for."""

from __future__ import annotations

import onnx

from exporters.interpreter.dtypes import NotComputed, torch_dtype


def is_computed(node: onnx.NodeProto, inputs: tuple[str, ...]) -> bool:
    """Whether the interpreter's function does what this node asks for."""
    names = {attribute.name for attribute in node.attribute}
    if node.op_type == "MaxPool":
        return len(node.output) == 1
    if node.op_type == "BatchNormalization":
        return len([name for name in node.output if name]) == 1 and not any(
            attribute.name == "training_mode" and attribute.i for attribute in node.attribute
        )
    if node.op_type in ("LSTM", "GRU", "RNN"):
        usual = not names & {"clip", "activations", "activation_alpha", "activation_beta", "layout", "input_forget"}
        return usual and not (len(inputs) > 4 and inputs[4])
    if node.op_type == "LayerNormalization":
        return len([name for name in node.output if name]) == 1
    if node.op_type == "Dropout":
        return len(inputs) < 3
    if node.op_type in ("Cast", "Constant"):
        return _known_types(node)
    return True


def _known_types(node: onnx.NodeProto) -> bool:
    try:
        for attribute in node.attribute:
            if attribute.name == "to":
                torch_dtype(attribute.i)
            if attribute.HasField("t"):
                torch_dtype(attribute.t.data_type)
    except NotComputed:
        return False
    return True
