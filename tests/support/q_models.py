"""Models of one QSequence node, and what it needs: random stages of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from exporters.ops import DOMAIN, VERSION, build_node
from exporters.ops.q_sequence import OPSET, q_sequence_op
from exporters.serialize import to_proto
from exporters.weights import blocks

Array = npt.NDArray[Any]
f32 = np.float32
POINT = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
SAME = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1]}
HALF = {"strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 1]}


@dataclass(frozen=True)
class Stage:
    """A word of the text, such as ``QAdd:2+1``, with the constants and attributes of its stage."""

    word: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


def grid(scale: float, zero: int) -> dict[str, Any]:
    """A grid that a stage states."""
    return {"y_scale": f32(scale), "y_zero": np.uint8(zero)}


def blocked(rng: np.random.Generator, shape: Sequence[int], height: int, density: float) -> Array:
    """A random int8 weight of which only so many blocks hold numbers."""
    outputs, channels, *window = shape
    mask = rng.random((-(-outputs // height), -(-channels // 4), *window)) < density
    whole = np.repeat(np.repeat(mask, height, 0), 4, 1)[:outputs, :channels]
    return (rng.integers(-127, 128, shape) * whole).astype(np.int8)


def product(
    rng: np.random.Generator,
    shape: Sequence[int],
    target: Mapping[str, Any],
    height: int = 0,
    density: float = 0.4,
) -> dict[str, Any]:
    """Constants of a stage with a weight: dense for a height of 0, else in blocks of so many outputs."""
    weight = blocked(rng, shape, max(1, height), density if height else 1.0)
    scales = {
        "w_scale": rng.uniform(0.001, 0.004, shape[0]).astype(f32),
        "bias": rng.integers(-3000, 3000, shape[0]).astype(np.int32),
    }
    if not height:
        return {"W": weight, **scales, **target}
    stored = blocks.from_dense(weight, height)
    parts = {"values": stored.values, "col_idx": stored.col_idx, "row_ptr": stored.row_ptr}
    return {**parts, "weight_shape": np.array(shape, np.int64), **scales, **target}


def arguments(stages: Sequence[Stage]) -> tuple[str, dict[str, Array], dict[str, Any]]:
    """The text, and constants and attributes by their names in the node."""
    constants, attributes = dict[str, Array](), dict[str, Any]()
    for index, stage in enumerate(stages):
        constants |= {f"{key}_{index}": np.asarray(value) for key, value in stage.constants.items()}
        attributes |= {f"{key}_{index}": value for key, value in stage.attributes.items()}
    return " ".join(stage.word for stage in stages), constants, attributes


def model_of(
    stages: Sequence[Stage], shape: Sequence[int | str], out_rank: int = 2, name: str = "QSequence"
) -> onnx.ModelProto:
    """A model whose only node, called ``target``, has these stages."""
    text, constants, attributes = arguments(stages)
    op = q_sequence_op(text, name)
    assert op is not None
    float32 = ir.TensorType(ir.DataType.FLOAT)
    source = ir.Value(name="X", shape=ir.Shape(shape), type=float32)
    node, initializers = build_node(op, "target", {"X": source}, constants, {"stages": text, **attributes})
    output = node.outputs[0]
    output.name, output.type = "Y", float32
    output.shape = ir.Shape([shape[0], *(f"y{axis}" for axis in range(1, out_rank))])
    graph = ir.Graph(
        [source],
        [output],
        nodes=[node],
        initializers=initializers,
        opset_imports={"": OPSET, DOMAIN: VERSION},
        name="main",
    )
    model = to_proto(ir.Model(graph, ir_version=10))
    model.functions.append(op.function)
    return model


def every_stage(rng: np.random.Generator, height: int = 1) -> list[Stage]:
    """A network of each kind of stage, for inputs (N, 3, 16, 16), with a squeeze-excite gate; 7 outputs."""
    codes = rng.permutation(256).astype(np.uint8)
    return [
        Stage("Quantize:0", grid(0.05, 128)),
        Stage("QDenseConv:1", product(rng, (10, 3, 3, 3), grid(0.3, 0)), HALF),
        Stage("QDepthwiseConv:2", product(rng, (10, 1, 3, 3), grid(0.5, 120)), {**SAME, "group": 10}),
        Stage("QBlockConv:3", product(rng, (9, 10, 1, 1), grid(0.9, 119), height), POINT),
        Stage("QBlockConv:4", product(rng, (9, 9, 3, 3), grid(1.6, 121), 3 - height), SAME),
        Stage("QAdd:5+4", grid(1.7, 119)),
        Stage("QMaxPool:6", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        Stage("QGlobalAveragePool:7", grid(1.1, 100)),
        Stage("QBlockGemm:8", product(rng, (6, 9), grid(0.6, 120), height)),
        Stage("QDenseGemm:9", product(rng, (6, 6), grid(0.7, 121))),
        Stage("QTable:10", {"table": codes, **grid(0.02, 11)}),
        Stage("QBlockConv:11", product(rng, (9, 6, 1, 1), grid(0.05, 30), height), POINT),
        Stage("QMul:7+12", grid(2.0, 120)),
        Stage("QGlobalAveragePool:13", grid(0.9, 100)),
        Stage("QBlockGemmFloat:14", product(rng, (7, 9), {}, height)),
    ]
