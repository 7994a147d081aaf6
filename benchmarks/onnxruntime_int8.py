"""What a convolution costs in ONNX Runtime's own int8: its QLinearConv alone, by its profile."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import runtimes

_OP = "QLinearConv"


def model_of(outputs: int, channels: int, window: int, stride: int, side: int, group: int = 1) -> bytes:
    """A model of one convolution of uint8 codes, its weights int8 with a scale an output."""
    rng = np.random.default_rng(0)
    out_side = (side + 2 * (window // 2) - window) // stride + 1
    scale = np.full(outputs, 0.01, np.float32)
    constants = {
        "x_scale": np.float32(0.02), "x_zero": np.uint8(128), "y_scale": np.float32(0.05), "y_zero": np.uint8(3),
        "w": rng.integers(-127, 128, (outputs, channels // group, window, window)).astype(np.int8),
        "w_scale": scale, "w_zero": np.zeros(outputs, np.int8), "b": np.zeros(outputs, np.int32),
    }  # fmt: skip
    inputs = ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "b"]
    attributes: dict[str, Any] = {"strides": [stride] * 2, "pads": [window // 2] * 4, "group": group}
    graph = helper.make_graph(
        [helper.make_node(_OP, inputs, ["y"], "layer", **attributes)],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, channels, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, outputs, out_side, out_side])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10
    ).SerializeToString()
    return model


def node_microseconds(models: Sequence[bytes], shapes: Sequence[tuple[int, ...]], bursts: int) -> list[float]:
    """The least time of each model's QLinearConv on one thread, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        sessions = [
            runtimes.dense_session(model, profile=str(Path(folder) / str(number)))
            for number, model in enumerate(models)
        ]
        codes = [np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8) for shape in shapes]
        for _ in range(bursts):
            for session, x in zip(sessions, codes, strict=True):
                for _ in range(5):
                    session.run(None, {"x": x})
        return [_least(Path(session.end_profiling())) for session in sessions]


def _least(path: Path) -> float:
    events = json.loads(path.read_text(encoding="utf-8"))
    own = [event["dur"] for event in events if event.get("args", {}).get("op_name") == _OP and event["cat"] == "Node"]
    return float(min(own))


def macs_of(outputs: int, channels: int, window: int, stride: int, side: int, group: int = 1) -> tuple[int, int]:
    """Multiply-adds of the convolution, and its outputs."""
    out_side = (side + 2 * (window // 2) - window) // stride + 1
    made = outputs * out_side**2
    return made * math.prod((channels // group, window, window)), made


__all__ = ["macs_of", "model_of", "node_microseconds"]
