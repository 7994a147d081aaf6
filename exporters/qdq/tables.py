"""Tables of 256 codes: what element-wise ops between DequantizeLinear and QuantizeLinear make of each code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from exporters.layers.graph import constant
from exporters.qdq.grid import Grid
from exporters.weights.dtypes import Array

_NAMES = (
    "Abs Celu Clip Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu Mish Neg Relu Selu Sigmoid Softplus "
    "Softsign Sqrt Swish Tanh ThresholdedRelu"
)
UNARY = frozenset(_NAMES.split())
BINARY = frozenset(("Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"))
CODES = np.arange(256, dtype=np.uint8)


def evaluate(nodes: Sequence[ir.Node], source: ir.Value, target: ir.Value, codes: Array, grid: Grid) -> Array:
    """The float32 numbers that ``nodes`` make of ``codes`` of the value ``source``.

    nodes: element-wise, in order, reading ``source``, constants of one number and each other. As onnx.reference
    computes them, which is the same on every machine but for the last bit of a logarithm or an exponential.
    """
    from onnx.reference import ReferenceEvaluator

    initializers = list[onnx.TensorProto]()
    known = {str(source.name)}
    for node in nodes:
        for value in node.inputs:
            array = constant(value)
            if value is not None and array is not None and value.name not in known:
                known.add(str(value.name))
                initializers.append(onnx.numpy_helper.from_array(array, str(value.name)))
    graph = onnx.helper.make_graph(
        [ir.serde.serialize_node(node) for node in nodes],
        "table",
        [onnx.helper.make_tensor_value_info(str(source.name), onnx.TensorProto.FLOAT, [len(codes)])],
        [onnx.helper.make_tensor_value_info(str(target.name), onnx.TensorProto.FLOAT, None)],
        initializers,
    )
    owner = nodes[0].graph
    opset = 19 if owner is None else owner.opset_imports.get("", 19)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        (made,) = ReferenceEvaluator(model).run(None, {str(source.name): grid.real(codes)})
    return np.broadcast_to(np.asarray(made, np.float32), codes.shape)


def product_table(a: Array, one: Grid, b: Array, two: Grid, target: Grid) -> Array:
    """Codes of the products of two tables' codes, as ONNX Runtime's QLinearMul rounds them."""
    product = (a.astype(np.int64) - one.zero) * (b.astype(np.int64) - two.zero)
    scale = np.float32(np.float32(one.scale * two.scale) / target.scale)
    codes: Array = np.clip(np.rint(product.astype(np.float32) * scale + np.float32(target.zero)), 0, 255)
    return codes.astype(np.uint8)
