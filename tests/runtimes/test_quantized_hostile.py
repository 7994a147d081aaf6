"""QSequence nodes that lie about one field: each is refused in a sentence that names node and stage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from quantized_models import QNet

import runtimes

NAN, INFINITY = float("nan"), float("inf")


def net() -> QNet:
    """Stages 0 to 10, of which the second is of 6 inputs and 5 outputs, in blocks of two outputs."""
    made = QNet(np.random.default_rng(1), [3])
    stem = made.conv(made.quantize(), 6, 3, block_rows=0)
    blocks = made.conv(stem, 5, 3, block_rows=2, sparsity=0.3)
    deep = made.conv(blocks, 5, 3, depthwise=True)
    table = made.table(made.max_pool(deep, 3, 1))
    total = made.add(table, blocks)
    made.gemm(made.mean(made.mul(total, made.mean(total))), 4, block_rows=1)
    return made


NET = net()
CONSTANTS = NET.constants()
TEXT = NET.text
SEQUENCE = 'QSequence "region": '


def with_value(key: str, at: Any, value: Any) -> dict[str, np.ndarray]:
    """One element of a constant changed."""
    array = CONSTANTS[key].copy()
    array[at] = value
    return {key: array}


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def scales() -> list[tuple[dict[str, Any], str]]:
    """Every scale of every stage as what no scale is."""
    words = "is not a positive, finite number of at least 2\\^-126"
    cases: list[tuple[dict[str, Any], str]] = []
    for key in CONSTANTS:
        kind, stage = key.rsplit("_", 1)
        for value in (0.0, -1.0, NAN, INFINITY, -INFINITY, 1e-40):
            if kind == "y_scale":
                cases.append(({key: scalar(value)}, f"stage {stage}: y_scale {words}"))
            elif kind == "w_scale":
                cases.append((with_value(key, 2, value), f"stage {stage}: w_scale {words}, at row 2"))
    return cases


def constants() -> list[tuple[dict[str, Any], str]]:
    """Every constant of another type, of another rank, and of another length."""
    cases: list[tuple[dict[str, Any], str]] = []
    for key, array in CONSTANTS.items():
        stage = key.rsplit("_", 1)[1]
        cases.append(({key: array.astype(np.float64)}, f"stage {stage}: its input \\w+ must be"))
        cases.append(({key: array[None, None, None]}, f"stage {stage}: its input \\w+ (has|must)"))
        if array.ndim == 1:
            cases.append(({key: array[:-1]}, f"stage {stage}: "))
            cases.append(({key: np.append(array, array[-1:])}, f"stage {stage}: "))
    return cases


BLOCK_VALUES = CONSTANTS["values_2"]
FIELDS: list[tuple[dict[str, Any], str]] = [
    (with_value("col_idx_2", 0, 200), "stage 2: col_idx\\[0\\] is 200, outside the 18 columns of row 0"),
    (with_value("col_idx_2", 1, CONSTANTS["col_idx_2"][0]), "stage 2: row 0 names column \\d+ twice"),
    (with_value("col_idx_2", slice(0, 2), [5, 3]), "stage 2: the columns of row 0 are not ascending"),
    ({"col_idx_2": np.where(np.arange(len(BLOCK_VALUES)), CONSTANTS["col_idx_2"].astype(np.int32), -1)},
     "stage 2: col_idx\\[0\\] is -1"),
    (with_value("row_ptr_2", 0, 1), "stage 2: row_ptr starts at 1"),
    (with_value("row_ptr_2", -1, 2**31 - 1), "stage 2: row_ptr ends at 2147483647"),
    (with_value("row_ptr_2", 1, -5), "stage 2: row_ptr falls from 0 to -5"),
    (with_value("row_ptr_2", 1, 10**6), "stage 2: row_ptr falls from 1000000"),
    (with_value("weight_shape_2", 0, 7), "stage 2: bias has 5 elements, a weight of 7 rows needs as many"),
    (with_value("weight_shape_2", 1, 0), "stage 2: dimension 1 of the weight is 0"),
    (with_value("weight_shape_2", 1, 2**40), "stage 2: dimension 1 of the weight is 1099511627776"),
    (with_value("weight_shape_2", 1, 4), "stage 2: col_idx\\[\\d+\\] is \\d+, outside the 9 columns"),
    (with_value("weight_shape_2", 2, -3), "stage 2: dimension 2 of the weight is -3"),
    ({"values_2": BLOCK_VALUES[:, :1]}, "stage 2: its input values must be \\[blocks, 4\\] or \\[blocks, 2, 4\\]"),
    ({"values_2": np.repeat(BLOCK_VALUES, 2, 1)}, "stage 2: its input values must be \\[blocks, 4\\]"),
    ({"values_2": BLOCK_VALUES[:, :, :3]}, "stage 2: its input values must be \\[blocks, 4\\]"),
    ({"values_2": BLOCK_VALUES[:-1]}, "stage 2: there are \\d+ values but \\d+ column numbers"),
    (with_value("values_2", (-1, 1, 0), 3), "stage 2: block \\d+ has a value for a channel that there is not"),
    ({"values_2": np.full_like(BLOCK_VALUES, 1)}, "stage 2: block \\d+ has a value for a channel that there is not"),
    (with_value("bias_2", 4, 2**31 - 1), "stage 2: the sums of row 4 may be as large as \\d+, which no int32 holds"),
    (with_value("bias_1", 0, -(2**31)), "stage 1: the sums of row 0 may be as large as \\d+, which no int32 holds"),
    (with_value("bias_3", 1, -(2**31) + 1), "stage 3: the sums of row 1 may be"),
    (with_value("bias_10", 1, -(2**31)), "stage 10: the sums of row 1 may be"),
    (with_value("w_scale_1", 3, 1e30), "stage 1: the sums of row 3 may be as large as 2\\^30 steps of its output"),
    (with_value("w_scale_10", 0, 3e38), "stage 10: the sums of row 0 may be infinite"),
    ({"y_scale_2": scalar(2e-38)}, "stage 2: the sums of row 0 may be as large as 2\\^30 steps"),
    ({"y_scale_6": scalar(1e-30)}, "stage 6: the scale of what it reads is more than 2\\^20 times the scale of"),
    ({"y_scale_7": scalar(1e-30)}, "stage 7: the scale of what it reads is more than 2\\^20 times"),
    ({"y_scale_8": scalar(1e-30)}, "stage 8: .* more than 2\\^20 times"),
    ({"table_5": np.zeros(255, np.uint8)}, "stage 5: its input table has 255 elements, 256 are needed"),
    ({"W_3": np.zeros((5, 2, 3, 3), np.int8)}, "stage 3: dimension 1 of its weight is 2, a depthwise weight has 1"),
    ({"W_1": CONSTANTS["W_1"].astype(np.uint8)}, "stage 1: its input W must be int8"),
    ({"strides_1": [0, 1]}, "stage 1: its attribute strides_1 holds 0"),
    ({"pads_1": [1, 1, 1]}, "stage 1: its attribute pads_1 has 3 integers, 4 are needed"),
    ({"pads_2": [1, 1, 1, -1]}, "stage 2: its attribute pads_2 holds -1"),
    ({"dilations_3": [1, 2**40]}, "stage 3: its attribute dilations_3 holds 1099511627776"),
    ({"kernel_shape_4": None}, "stage 4: it lacks the attribute kernel_shape_4"),
    ({"kernel_shape_4": [3, 0]}, "stage 4: its attribute kernel_shape_4 holds 0"),
    ({"kernel_shape_4": [2000, 3]}, "stage 4: its window has a side of 2000"),
    ({"pads_4": [3, 1, 1, 1]}, "stage 4: a padding of its window is not below the window's side of 3"),
    ({"dilations_4": [2, 2]}, "stage 4: a maximum over a window has no dilation"),
    ({"stages": None}, "it lacks the attribute stages"),
    ({"stages": 3}, "its attribute stages must be a string"),
    ({"stages": ""}, "stage 0 of its attribute stages is not an op"),
    ({"stages": "Quantize:0 " * 400}, "its attribute stages has more than 4095 characters"),
    ({"stages": " ".join(["Quantize:0"] * 129)}, "it has more than 128 stages"),
    ({"stages": "QTable:0 Dequantize:1"}, "stage 0 is not Quantize"),
    ({"stages": "Quantize:0 Quantize:1 Dequantize:2"}, "stage 1 is Quantize, which only the first one is"),
    ({"stages": "Quantize:0 QTable:0 Dequantize:2"}, "stage 1 reads X, which only stage 0 does"),
    ({"stages": "Quantize:0 QAdd:1+0 Dequantize:2"}, "stage 1 reads X, which only stage 0 does"),
    ({"stages": "Quantize:0 Dequantize:1 QTable:1"}, "stage 1 makes float32, which only the last one does"),
    ({"stages": "Quantize:0 QTable:1"}, "stage 1, the last one, makes no float32"),
    ({"stages": "Quantize:0 CsrConv:1 Dequantize:2"}, "stage 1 of its attribute stages is not an op"),
    ({"stages": TEXT.replace("QAdd:6+3", "QAdd:6")}, "stage 6 of its attribute stages is not an op"),
    ({"stages": TEXT.replace("QAdd:6+3", "QAdd:6+7")}, "stage 6 of its attribute stages is not an op"),
    ({"stages": TEXT.replace("QMaxPool:4", "QMaxPool:99999999999999999999")}, "stage 4 of its attribute stages"),
    ({"stages": TEXT + " QTable:2"}, "stage 10 makes float32, which only the last one does"),
    ({"stages": TEXT.removesuffix(" " + TEXT.split(" ")[-1]) + " Dequantize:9"}, "it has \\d+ inputs, \\d+ are needed"),
]  # fmt: skip


def test_the_node_that_is_changed_is_accepted() -> None:
    assert TEXT.split(" ")[6] == "QAdd:6+3"
    x = np.random.default_rng(2).normal(size=(1, 3, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(runtimes.session(NET.model()).run(None, {"X": x})[0], NET.oracle(x))


@pytest.mark.parametrize("cases", [scales(), constants(), FIELDS], ids=["scales", "constants", "fields"])
def test_a_node_that_lies_is_refused_in_a_sentence(cases: list[tuple[dict[str, Any], str]]) -> None:
    for changed, words in cases:
        with pytest.raises(Exception, match=SEQUENCE + words):  # one class for each status
            runtimes.session(NET.model(**changed))


def test_a_constant_that_is_not_there_is_missed() -> None:
    for key in CONSTANTS:
        with pytest.raises(
            Exception, match=SEQUENCE + f"it has {len(CONSTANTS)} inputs, {len(CONSTANTS) + 1} are needed"
        ):
            runtimes.session(NET.model(drop=(key,)))


@pytest.mark.parametrize("key", ["W_1", "bias_1", "y_zero_1", "col_idx_2", "table_5"])
def test_a_constant_that_is_an_input_is_refused(key: str) -> None:
    model = onnx.ModelProto.FromString(NET.model())
    (kept,) = (one for one in model.graph.initializer if one.name == key)
    model.graph.input.append(onnx.helper.make_tensor_value_info(key, kept.data_type, list(kept.dims)))
    model.graph.initializer.remove(kept)
    stage, words = key.rsplit("_", 1)[1], f"its input {key[:-2]} must be a constant initializer"
    with pytest.raises(Exception, match=f"{SEQUENCE}stage {stage}: {words}"):
        runtimes.session(model.SerializeToString())


REFUSED = """
import gc, resource, sys
import runtimes
model = open(sys.argv[1], "rb").read()
def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
for count in range(400):
    try:
        runtimes.session(model)
    except runtimes.SessionError:
        settled = resident() if count == 100 else settled if count else 0
        continue
    raise AssertionError("it was accepted")
print(resident() - settled)
"""


def test_what_was_made_of_the_stages_before_is_given_back(tmp_path: Path) -> None:
    """The last of eleven stages is refused, three hundred times; the plans of the others take some kB."""
    (tmp_path / "bad.onnx").write_bytes(NET.model(w_scale_10=np.zeros(4, np.float32)))
    command = [sys.executable, "-W", "ignore", "-c", REFUSED, str(tmp_path / "bad.onnx")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2**19


@pytest.mark.parametrize(
    ("change", "shape", "words"),
    [
        ({}, (1, 4, 6, 6), "stage 1: its input has 4 channels, its weight has 3"),
        ({}, (1, 3, 0, 6), "stage 0: its input of 0 by 6 pixels is empty"),
        ({}, (3, 6, 6), "its input has 3 dimensions, 4 are needed"),
        ({"pads_2": [0, 0, 0, 0]}, (1, 3, 2, 2), "stage 2: its kernel does not fit into an input of 2 by 2 pixels"),
        (
            {"strides_4": [2, 2]},
            (1, 3, 6, 6),
            "stage 6: dimension 2 of the second value that it reads is 6, 3 is needed",
        ),
        (
            {"stages": TEXT.replace("QMul:7+8", "QMul:7+7")},
            (1, 3, 6, 6),
            "stage 8: dimension 2 of the second value that it reads is 6, 1 is needed",
        ),
        (
            {"stages": TEXT.replace("QBlockGemmFloat:10", "QBlockGemmFloat:7")},
            (1, 3, 6, 6),
            "stage 10: its input has 6 by 6 pixels, a linear layer takes one",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused_when_it_runs(change: Any, shape: tuple[int, ...], words: str) -> None:
    session = runtimes.session(NET.model(**change))
    with pytest.raises(Exception, match=SEQUENCE + words):
        session.run(None, {"X": np.zeros(shape, np.float32)})


def test_what_is_computed_within_a_convolution_is_checked_as_a_stage_of_its_own() -> None:
    made = QNet(np.random.default_rng(4), [4])
    first = made.conv(made.quantize(), 4)
    made.dequantize(made.table(made.conv(made.add(made.conv(first, 4), first), 4)))
    x = np.random.default_rng(5).normal(size=(1, 4, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(runtimes.session(made.model()).run(None, {"X": x})[0], made.oracle(x))
    for change, words in (
        ({"y_scale_3": scalar(0)}, "stage 3: y_scale is not a positive"),
        ({"y_scale_3": scalar(1e-30)}, "stage 3: the scale of what it reads is more than 2\\^20 times"),
        ({"table_5": np.zeros(9, np.uint8)}, "stage 5: its input table has 9 elements"),
        ({"y_zero_5": np.zeros(1, np.uint8)}, "stage 5: its input y_zero has 1 dimensions, 0 are needed"),
    ):
        with pytest.raises(Exception, match=SEQUENCE + words):
            runtimes.session(made.model(**change))
    strided = runtimes.session(made.model(strides_2=[2, 2]))
    with pytest.raises(Exception, match="stage 2: dimension 2 of the second value that it reads is 6, 3 is needed"):
        strided.run(None, {"X": x})


def test_more_than_fits_is_refused_before_memory_is_asked_for() -> None:
    """A pixel takes 64 bytes in the layout: the numbers of elements alone would not tell."""
    made = QNet(np.random.default_rng(3), [1])
    made.dequantize(made.mean(made.quantize()))
    session = runtimes.session(made.model())
    huge = np.broadcast_to(np.zeros(1, np.float32), (1, 1, 3000, 3000))
    with pytest.raises(Exception, match="stage 1: its input of 3000 by 3000 pixels is too large"):
        session.run(None, {"X": np.ascontiguousarray(huge)})
