"""Small ONNX models of chita.edge ops, well-formed or with parts replaced, and what they ought to compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid("chita.edge", 1)]


def random_sparse(rng: np.random.Generator, shape: tuple[int, ...], sparsity: float) -> Array:
    return np.where(rng.random(shape) < sparsity, 0, rng.normal(size=shape)).astype(np.float32)


def csr(weight: Array, block_rows: int = 1) -> dict[str, Array]:
    """The constants of CsrConv, BlockCsrConv or CsrGemm for a weight [M, C, kh, kw] or [M, K], without the bias."""
    flat = weight.reshape(weight.shape[0] // block_rows, block_rows, -1)
    rows, columns = np.nonzero(np.any(flat != 0, axis=1))
    last = flat.shape[2] - 1
    index = np.uint8 if last < 2**8 else np.uint16 if last < 2**16 else np.int32
    return {
        "values": flat[rows, :, columns] if block_rows > 1 else flat[rows, 0, columns],
        "col_idx": columns.astype(index),
        "row_ptr": np.searchsorted(rows, np.arange(flat.shape[0] + 1)).astype(np.int32),
        "weight_shape": np.array(weight.shape, np.int64),
    }


def nm(weight: Array, m: int) -> dict[str, Array]:
    """The constants of NmConv or NmGemm without the bias; as many slots a group of m channels as the fullest needs."""
    rows, channels, bits = weight.shape[0], weight.shape[1], (m - 1).bit_length()
    flat, groups = weight.reshape(rows, channels, -1), -(-channels // m)
    cells = [[flat[:, g * m : (g + 1) * m, t] for t in range(flat.shape[2])] for g in range(groups)]
    n = max(1, max(int((cell != 0).sum(1).max()) for of_group in cells for cell in of_group))
    values, stream = np.zeros((rows, groups, flat.shape[2], n), np.float32), ""
    for row, group, tap in np.ndindex(*values.shape[:3]):
        cell = cells[group][tap][row]
        stored = [c for c in range(len(cell)) if cell[c] != 0]
        chosen = sorted((stored + [c for c in range(m) if c not in stored])[:n])
        values[row, group, tap] = [cell[c] if c < len(cell) else 0 for c in chosen]
        stream += "".join(f"{c:0{bits}b}"[::-1] for c in chosen)
    octets = [int(stream[i : i + 8][::-1], 2) for i in range(0, len(stream), 8)]
    return {"values": values, "index": np.array(octets, np.uint8), "weight_shape": np.array(weight.shape, np.int64)}


def random_nm(rng: np.random.Generator, shape: tuple[int, ...], n: int, m: int) -> Array:
    """At most n non-zeros in each m channels; n where there are as many."""
    weight = np.zeros(shape, np.float32)
    for first in range(0, shape[1], m):
        part = weight[:, first : first + m]
        rank = np.argsort(np.argsort(rng.random(part.shape), axis=1), axis=1)
        part[rank < n] = rng.normal(size=int((rank < n).sum()))
    return weight


def constants_of(op: str, weight: Array, bias: Array, block_rows: int = 4, m: int = 4) -> dict[str, Array]:
    """block_rows and m: of the ops in blocks and of those with N:M weights."""
    if op.startswith(("DepthwiseConv", "DenseConv")):
        return {"W": weight, "bias": bias}
    if op.startswith("Nm"):
        return nm(weight, m) | {"bias": bias}
    return csr(weight, block_rows if op.startswith("Block") else 1) | {"bias": bias}


def model(
    op: str,
    constants: dict[str, Array],
    *,
    x_shape: Sequence[int | str | None],
    inputs: Sequence[str] | None = None,
    x_type: int = TensorProto.FLOAT,
    fed: Sequence[str] = (),
    name: str = "layer",
    **attributes: Any,
) -> bytes:
    """One node called `name` from X to Y; the constants named in `fed` become inputs of the graph instead."""
    extra = ["residual"] if op.startswith(("CsrConvAdd", "BlockCsrConvAdd", "NmConvAdd")) else []
    node = helper.make_node(
        op, inputs or ["X", *constants, *extra], ["Y"], name=name, domain="chita.edge", **attributes
    )
    graph_inputs = [helper.make_tensor_value_info("X", x_type, x_shape)]
    graph_inputs += [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in extra]
    for one in fed:
        kind = helper.np_dtype_to_tensor_dtype(constants[one].dtype)
        graph_inputs.append(helper.make_tensor_value_info(one, kind, constants[one].shape))
    graph = helper.make_graph(
        [node],
        "one_layer",
        graph_inputs,
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, key) for key, array in constants.items() if key not in fed],
    )
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, ir_version=10, opset_imports=OPSETS))


def layer(op: str, weight: Array, bias: Array, x_shape: Sequence[int | str | None], **attributes: Any) -> bytes:
    """A well-formed model of one layer."""
    return model(op, constants_of(op, weight, bias), x_shape=x_shape, **attributes)


def reference(
    op: str,
    x: Array,
    weight: Array,
    bias: Array,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    clip_min: float = -np.inf,
    clip_max: float = np.inf,
) -> Array:
    """The layer in float64, by the definition: a sum over the taps of the kernel."""
    x, weight, bias = x.astype(np.float64), weight.astype(np.float64), bias.astype(np.float64)
    if op == "CsrGemm":
        return np.clip(x @ weight.T + bias, clip_min, clip_max)
    _, _, kernel_h, kernel_w = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    out_h = (padded.shape[2] - dilations[0] * (kernel_h - 1) - 1) // strides[0] + 1
    out_w = (padded.shape[3] - dilations[1] * (kernel_w - 1) - 1) // strides[1] + 1
    total = np.zeros((x.shape[0], weight.shape[0], out_h, out_w)) + bias[:, None, None]
    for i in range(kernel_h):
        for j in range(kernel_w):
            top, left = i * dilations[0], j * dilations[1]
            rows = slice(top, top + (out_h - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (out_w - 1) * strides[1] + 1, strides[1])
            tap = padded[:, :, rows, columns]
            if op == "DepthwiseConv":
                total += weight[:, 0, i, j][:, None, None] * tap
            else:
                total += np.einsum("mc,nchw->nmhw", weight[:, :, i, j], tap)
    return np.clip(total, clip_min, clip_max)


def densified(constants: dict[str, Array]) -> bytes:
    """A 1x1 CsrConv's constants as a model of a standard Conv; empty where they break a rule."""
    values, columns, row_ptr, shape, bias = (
        constants[key].astype(object if key != "values" and key != "bias" else np.float32)
        for key in ("values", "col_idx", "row_ptr", "weight_shape", "bias")
    )
    if len(shape) != 4 or not all(1 <= size <= limit for size, limit in zip(shape, (4096, 4096, 1, 1), strict=True)):
        return b""
    rows, columns_of_row = int(shape[0]), int(shape[1])
    ends = [int(end) for end in row_ptr]
    if len(ends) != rows + 1 or len(bias) != rows or len(values) != len(columns):
        return b""
    if ends[0] != 0 or ends[-1] != len(values) or sorted(ends) != ends:
        return b""
    weight = np.zeros((rows, columns_of_row, 1, 1), np.float32)
    for row in range(rows):
        own = [int(column) for column in columns[ends[row] : ends[row + 1]]]
        if own != sorted(set(own)) or any(not 0 <= column < columns_of_row for column in own):
            return b""
        weight[row, own, 0, 0] = values[ends[row] : ends[row + 1]]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["X", "W", "bias"], ["Y"])],
        "dense",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", columns_of_row, "H", "W"])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "W"), numpy_helper.from_array(bias, "bias")],
    )
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, ir_version=10, opset_imports=OPSETS[:1]))


def two_convolutions(weight: Array, bias: Array) -> onnx.ModelProto:
    """A dense network of two 1×1 convolutions with a ReLU between them, of which the first has the weight."""
    rng = np.random.default_rng(3)
    between = len(weight)
    arrays = {"w": weight, "b": bias, "v": rng.normal(size=(5, between, 1, 1)).astype(np.float32), "c": bias[:5]}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "w", "b"], ["h"], name="first"),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Conv", ["r", "v", "c"], ["logits"], name="second"),
        ],
        "two",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, weight.shape[1], 6, 6])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5, 6, 6])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    return onnx.shape_inference.infer_shapes(model)


def small_network(rng: np.random.Generator, sparsity: float = 0.8) -> bytes:
    """A MobileNet in miniature: stem, depthwise, pointwise, depthwise of stride 2, pointwise, pool, classifier.

    Input "X" [N, 3, 32, 32], output "Y" [N, 10].
    """
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Array] = {}

    def add(op: str, name: str, weight: Array, source: str, **attributes: Any) -> str:
        own = constants_of(op, weight, rng.normal(size=weight.shape[0]).astype(np.float32))
        constants.update({f"{name}.{key}": array for key, array in own.items()})
        inputs = [source, *(f"{name}.{key}" for key in own)]
        nodes.append(helper.make_node(op, inputs, [f"{name}.y"], name=name, domain="chita.edge", **attributes))
        return f"{name}.y"

    relu: dict[str, Any] = {"clip_min": 0.0, "clip_max": 6.0}
    same: dict[str, Any] = {"pads": [1, 1, 1, 1]} | relu
    y = add("DenseConv", "stem", random_sparse(rng, (16, 3, 3, 3), 0) / 5, "X", strides=[2, 2], **same)
    y = add("DepthwiseConv", "dw1", random_sparse(rng, (16, 1, 3, 3), 0) / 3, y, strides=[1, 1], **same)
    y = add("CsrConv", "pw1", random_sparse(rng, (40, 16, 1, 1), sparsity), y, **relu)
    y = add("DepthwiseConv", "dw2", random_sparse(rng, (40, 1, 3, 3), 0) / 3, y, strides=[2, 2], **same)
    y = add("CsrConv", "pw2", random_sparse(rng, (72, 40, 1, 1), sparsity), y, strides=[1, 1], **relu)
    nodes.append(helper.make_node("GlobalAveragePool", [y], ["pooled"], domain="chita.edge"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    add("CsrGemm", "classifier", random_sparse(rng, (10, 72), sparsity), "features")
    nodes[-1].output[0] = "Y"
    graph = helper.make_graph(
        nodes,
        "small_network",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, ir_version=10, opset_imports=OPSETS))
