"""A QSequence node of every kind of stage, and hostile changes of each of its fields."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import q_models
from onnx import TensorProto, helper, numpy_helper
from q_models import Stage, grid, product

Edit = Callable[[onnx.ModelProto], None]
SHAPE = ["N", 8, 6, 6]


@functools.cache
def _good() -> bytes:
    rng = np.random.default_rng(0)
    stages = [
        Stage("Quantize:0", grid(0.05, 128)),
        Stage("QBlockConv:1", product(rng, (9, 8, 3, 3), grid(0.4, 119), 1), q_models.SAME),
        Stage("QBlockConv:2", product(rng, (8, 9, 1, 1), grid(0.4, 119), 2), q_models.POINT),
        Stage("QDepthwiseConv:3", product(rng, (8, 1, 3, 3), grid(0.3, 120)), {**q_models.SAME, "group": 8}),
        Stage("QDenseConv:4", product(rng, (8, 8, 1, 1), grid(0.3, 120)), q_models.POINT),
        Stage("QAdd:5+4", grid(0.5, 100)),
        Stage("QMaxPool:6", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        Stage("QTable:7", {"table": np.arange(256, dtype=np.uint8), **grid(0.1, 5)}),
        Stage("QGlobalAveragePool:8", grid(0.1, 9)),
        Stage("QMul:8+9", grid(0.9, 3)),
        Stage("QGlobalAveragePool:10", grid(0.1, 9)),
        Stage("QDenseGemm:11", product(rng, (6, 8), grid(0.3, 120))),
        Stage("QBlockGemmFloat:12", product(rng, (5, 6), {}, 1)),
    ]
    return q_models.model_of(stages, SHAPE).SerializeToString()


def good() -> onnx.ModelProto:
    return onnx.load_from_string(_good())


def tensor(model: onnx.ModelProto, name: str) -> TensorProto:
    return next(one for one in model.graph.initializer if one.name == f"target.{name}")


def put(name: str, value: Any) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        tensor(model, name).CopyFrom(numpy_helper.from_array(np.asarray(value), f"target.{name}"))

    return edit


def change(name: str, at: int, value: Any) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        array = numpy_helper.to_array(tensor(model, name)).copy()
        array.reshape(-1)[at] = value
        tensor(model, name).CopyFrom(numpy_helper.from_array(array, f"target.{name}"))

    return edit


def cut(name: str) -> Edit:
    """One entry less."""

    def edit(model: onnx.ModelProto) -> None:
        array = numpy_helper.to_array(tensor(model, name))
        tensor(model, name).CopyFrom(numpy_helper.from_array(array[:-1], f"target.{name}"))

    return edit


def attribute(name: str, value: Any) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        kept = [one for one in model.graph.node[0].attribute if one.name != name]
        del model.graph.node[0].attribute[:]
        model.graph.node[0].attribute.extend(kept)
        if value is not None:
            model.graph.node[0].attribute.append(helper.make_attribute(name, value))

    return edit


def overload(change_text: Callable[[str], str]) -> Edit:
    """Another text in node, function and attribute."""

    def edit(model: onnx.ModelProto) -> None:
        text = change_text(model.graph.node[0].overload)
        model.graph.node[0].overload = model.functions[0].overload = text
        attribute("stages", text)(model)

    return edit


def swap_columns(model: onnx.ModelProto) -> None:
    """The first two columns of a row that has two."""
    ends = numpy_helper.to_array(tensor(model, "row_ptr_1"))
    at = int(ends[np.flatnonzero(np.diff(ends) > 1)[0]])
    columns = numpy_helper.to_array(tensor(model, "col_idx_1")).copy()
    columns[at : at + 2] = columns[at : at + 2][::-1]
    put("col_idx_1", columns)(model)


def as_input(model: onnx.ModelProto) -> None:
    """A weight that the user gives."""
    model.graph.input.append(helper.make_tensor_value_info("given", TensorProto.INT8, [8, 8, 1, 1]))
    place = list(model.graph.node[0].input).index("target.W_4")
    model.graph.node[0].input[place] = "given"


def without_input(model: onnx.ModelProto) -> None:
    del model.graph.node[0].input[-1]


def input_rank(model: onnx.ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[-1]


BAD_SCALES = (0, -1, np.nan, np.inf, -np.inf)
CASES: list[tuple[str, Edit, str]] = [
    *((f"y_scale {value}", put("y_scale_0", np.float32(value)), "not a positive number") for value in BAD_SCALES),
    *((f"of a layer {value}", put("y_scale_3", np.float32(value)), "not a positive number") for value in BAD_SCALES),
    *((f"w_scale {value}", change("w_scale_1", 3, value), "not a positive number") for value in BAD_SCALES),
    ("scale of another type", put("y_scale_1", np.float64(1)), "y_scale of stage 1"),
    ("scale a vector", put("y_scale_1", np.ones(1, np.float32)), "y_scale of stage 1"),
    ("zero of another type", put("y_zero_1", np.int8(-3)), "y_zero of stage 1"),
    ("zero out of range", put("y_zero_1", np.int32(256)), "y_zero of stage 1"),
    ("zero a vector", put("y_zero_5", np.zeros(8, np.uint8)), "y_zero of stage 5"),
    ("scales far apart", put("y_scale_1", np.float32(1e-45)), "too far apart"),
    ("scales of a sum far apart", put("y_scale_5", np.float32(1e-45)), "too far apart"),
    ("a column past the end", change("col_idx_1", 0, 250), "outside 0…17"),
    ("columns fall", swap_columns, "ascend strictly"),
    ("row_ptr falls", change("row_ptr_1", 2, 40), "must rise"),
    ("row_ptr begins late", change("row_ptr_1", 0, 1), "must rise"),
    ("row_ptr negative", change("row_ptr_1", 1, -1), "must rise"),
    ("row_ptr short", cut("row_ptr_1"), "row_ptr has"),
    ("a block less", cut("values_1"), "blocks and"),
    ("values of another type", put("values_1", np.zeros((30, 4), np.uint8)), "types are"),
    ("values of another width", put("values_1", np.zeros((30, 8), np.int8)), "must have the shape"),
    ("blocks of one output where rows are of two", put("values_2", np.zeros((6, 4), np.int8)), "row_ptr has"),
    ("weight_shape of a gemm", put("weight_shape_1", np.array([9, 72], np.int64)), "must be 4 int64"),
    ("weight_shape of another type", put("weight_shape_1", np.array([9, 8, 3, 3], np.int32)), "must be 4 int64"),
    ("weight_shape zero", put("weight_shape_1", np.array([9, 0, 3, 3], np.int64)), "no size of a weight"),
    ("weight_shape negative", put("weight_shape_1", np.array([9, -8, 3, 3], np.int64)), "no size of a weight"),
    ("weight_shape huge", put("weight_shape_1", np.array([9, 2**40, 3, 3], np.int64)), "no size of a weight"),
    ("weight_shape large", put("weight_shape_12", np.array([5, 2**27], np.int64)), "and an input of shape"),
    ("weight_shape of other channels", put("weight_shape_2", np.array([8, 12, 1, 1], np.int64)), "an input of shape"),
    ("a bias less", cut("bias_1"), "bias of stage 1"),
    ("a bias of another type", put("bias_1", np.zeros(9, np.float32)), "bias of stage 1"),
    ("a bias that overflows", change("bias_1", 4, 2**31 - 1), "could exceed int32"),
    ("a bias that overflows below", change("bias_4", 0, -(2**31)), "could exceed int32"),
    ("a scale less", cut("w_scale_4"), "w_scale of stage 4"),
    ("a weight of another type", put("W_4", np.zeros((8, 8, 1, 1), np.float32)), "W of stage 4"),
    ("a weight of another rank", put("W_4", np.zeros((8, 8), np.int8)), "is not int8 with 4 dimensions"),
    ("a weight of nothing", put("W_4", np.zeros((8, 0, 1, 1), np.int8)), "is not int8 with 4 dimensions"),
    ("a weight of other channels", put("W_4", np.zeros((8, 4, 1, 1), np.int8)), "and an input of shape"),
    ("a weight of other outputs", put("W_4", np.zeros((7, 8, 1, 1), np.int8)), "w_scale of stage 4"),
    ("two kernels a channel", put("W_3", np.zeros((8, 2, 3, 3), np.int8)), "not depthwise"),
    ("a table of 255", cut("table_7"), "table of stage 7"),
    ("a table of another type", put("table_7", np.zeros(256, np.int8)), "table of stage 7"),
    ("a weight that is an input", as_input, "W_4 of node 'target' is no constant"),
    ("an input less", without_input, "needs the inputs"),
    ("an input of three dimensions", input_rank, "reads an input of 3 dimensions"),
    ("no strides", attribute("strides_1", None), "lacks strides"),
    ("no kernel", attribute("kernel_shape_6", None), "lacks kernel_shape"),
    ("strides of zero", attribute("strides_1", [0, 1]), "strides must be 2 numbers"),
    ("huge strides", attribute("strides_1", [2**40, 1]), "strides must be 2 numbers"),
    ("pads of two", attribute("pads_1", [1, 1]), "pads must be 4 numbers"),
    ("negative pads", attribute("pads_1", [-1, 0, 0, 0]), "pads must be 4 numbers"),
    ("pads of a pool", attribute("pads_6", [3, 0, 0, 0]), "as large as its kernel"),
    ("a window past the image", attribute("dilations_1", [9, 9]), "larger than the input"),
    ("another group", attribute("group_3", 4), "not depthwise"),
    ("no group", attribute("group_3", None), "not depthwise"),
    ("sums of different sizes", attribute("strides_4", [2, 2]), "reads values of shapes"),
    ("another text than the overload", attribute("stages", "Quantize:0 Dequantize:1"), "are not its overload"),
    ("an unknown stage", overload(lambda text: text.replace("QAdd", "QSub")), "does not have"),
    ("a source from later", overload(lambda text: text.replace("QTable:7", "QTable:9")), "does not have"),
    ("no second source", overload(lambda text: text.replace("QAdd:5+4", "QAdd:5")), "does not have"),
    ("codes of a float value", overload(lambda text: text.replace("QTable:7", "QTable:0")), "does not have"),
    ("float32 in between", overload(lambda text: text.replace("QTable:7", "Dequantize:7")), "does not have"),
    ("too long a text", overload(lambda text: text + " QTable:7" * 600), "does not have"),
    ("too many stages", overload(lambda text: text.replace(" QTable:7", " QTable:7" * 120)), "does not have"),
]  # fmt: skip
