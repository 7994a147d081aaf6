"""One node of a graph, computed by ONNX Runtime; gradients end there."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper

from exporters.errors import UnsupportedModelError


class RuntimeNode:
    """A node that the interpreter leaves to ONNX Runtime.

    Args:
        node: of any operator that ONNX Runtime knows; its branches may read values from outside.
        opsets: that the model imports.
        functions: of the model.
        ir_version: of the model.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        opsets: list[onnx.OperatorSetIdProto],
        functions: list[onnx.FunctionProto],
        ir_version: int,
    ) -> None:
        self.node = node
        self._opsets, self._functions, self._ir_version = opsets, functions, ir_version
        self._sessions: dict[tuple[Any, ...], Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> RuntimeNode:
        return RuntimeNode(self.node, self._opsets, self._functions, self._ir_version)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_sessions": {}}

    def __call__(self, values: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The node's outputs, for all values that it or its branches read, by name.

        Raises UnsupportedModelError when ONNX Runtime cannot compute it.
        """
        arrays = {name: np.ascontiguousarray(value.detach().cpu().numpy()) for name, value in values.items()}
        key = tuple((name, array.dtype.str, array.shape) for name, array in arrays.items())
        name = self.node.name or self.node.op_type
        try:
            if key not in self._sessions:
                self._sessions[key] = self._session(arrays)
            outputs = self._sessions[key].run(None, arrays)
        except Exception as error:  # ONNX Runtime raises exceptions of many kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UnsupportedModelError(f"Node {name}: ONNX Runtime cannot compute it ({reason}).") from error
        found = []
        for output in outputs:
            tensor = torch.from_numpy(np.array(output))
            found.append(tensor.float() if tensor.dtype == torch.float16 else tensor)
        return tuple(found)

    def _session(self, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when ORT is first imported
        import onnxruntime

        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in arrays.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.node.output if name]
        graph = helper.make_graph([self.node], "node", inputs, outputs)
        model = helper.make_model(
            graph, opset_imports=self._opsets, functions=self._functions, ir_version=self._ir_version
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def outer_names(node: onnx.NodeProto) -> tuple[str, ...]:
    """Names of the values that a node reads, those that its branches take from outside among them."""
    found = dict.fromkeys(name for name in node.input if name)
    for attribute in node.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            for inner in graph.node:
                found.update(dict.fromkeys(name for name in outer_names(inner) if name not in own))
                own.update(inner.output)
            found.update(dict.fromkeys(value.name for value in graph.output if value.name not in own))
    return tuple(found)
