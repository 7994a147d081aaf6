"""NaN, infinities, −0 and denormals: every op of ours gives what ONNX Runtime's dense op gives.

With one exception that is in the nature of sparse weights: where a weight is 0, a dense op multiplies it by the input
and makes NaN of an infinity; a sparse one does not see that input. So the special inputs here are in channels whose
weights are all there, and the last test shows the exception.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import sparse_models
from kernel_isas import float_isas

import exporters.ops
import runtimes

SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-41, -1e-41, 1e30, 1e-38], np.float32)
SAME: dict[str, Any] = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1]}
POINT: dict[str, Any] = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
# Weights that reach each way of computing: channels of a K tile and more, planes of a few pixels and of long rows.
CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("CsrConv", (5, 140, 1, 1), (2, 140, 3, 7), POINT),
    ("CsrConv", (5, 6, 3, 3), (1, 6, 9, 20), SAME),
    ("CsrConvAdd", (5, 20, 1, 1), (1, 20, 5, 9), POINT),
    ("CsrGemm", (19, 40), (3, 40), {}),
    ("BlockCsrConv", (8, 140, 1, 1), (2, 140, 3, 7), POINT),
    ("BlockCsrConvAdd", (8, 6, 3, 3), (1, 6, 9, 20), SAME),
    ("NmConv", (5, 140, 1, 1), (2, 140, 3, 7), POINT | {"m": 4}),
    ("NmConvAdd", (5, 6, 3, 3), (1, 6, 9, 20), SAME | {"m": 4}),
    ("NmGemm", (19, 40), (3, 40), {"m": 4}),
    ("DepthwiseConv", (6, 1, 3, 3), (1, 6, 7, 7), SAME | {"group": 6}),
    ("DepthwiseConv", (6, 1, 3, 3), (1, 6, 30, 40), SAME | {"strides": [2, 2], "group": 6}),
    ("DenseConv", (6, 3, 3, 3), (1, 3, 9, 20), SAME),
    ("GlobalAveragePool", (), (2, 9, 5, 5), {}),
]


def special_input(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Every special value once in each of the first two channels as far as there is room, the rest ordinary."""
    x = rng.normal(size=shape).astype(np.float32)
    for channel in x.reshape(shape[0], shape[1], -1)[0, :2]:
        count = min(len(SPECIAL), len(channel))
        channel[rng.permutation(len(channel))[:count]] = rng.permutation(SPECIAL)[:count]
    return x


def both(op: str, weight_shape: tuple[int, ...], x: np.ndarray, attributes: dict[str, Any], isa: str) -> list[Any]:
    """What our kernel makes of x, and what stock ONNX Runtime makes of the function body."""
    rng = np.random.default_rng(1)
    constants = {}
    if weight_shape:
        weight = sparse_models.random_sparse(rng, weight_shape, 0 if op.startswith("De") else 0.5)
        if op.startswith("Block"):
            weight *= np.repeat(weight[::4] != 0, 4, axis=0)
            weight[(weight == 0) & np.repeat(weight[::4] != 0, 4, axis=0)] = 0.25
        if op.startswith("Nm"):
            weight = sparse_models.random_nm(rng, weight_shape, 2, 4)
            weight[:, 2:4] = 0
        weight.reshape(len(weight), weight_shape[1], -1)[:, :2] = 0.75
        constants = sparse_models.constants_of(op, weight, rng.normal(size=len(weight)).astype(np.float32))
    file = sparse_models.model(op, constants, x_shape=[None, *x.shape[1:]], **attributes)
    model = onnx.ModelProto.FromString(file)
    model.functions.append(exporters.ops.OPS[op].function)
    feeds = {"X": x}
    if "residual" in exporters.ops.OPS[op].inputs:
        feeds["residual"] = np.resize(np.append(SPECIAL, np.ones(7)), (len(x), weight_shape[0], *x.shape[2:]))
        feeds["residual"] = feeds["residual"].astype(np.float32)
    ours = runtimes.session(file, isa=isa)
    stock = runtimes.dense_session(model.SerializeToString())
    return [session.run(None, feeds)[0] for session in (ours, stock)]


@pytest.mark.parametrize("isa", float_isas())
@pytest.mark.parametrize("variant", ["", "Relu6", "HardSwish", "Silu"])
def test_special_inputs_give_what_the_dense_op_gives(variant: str, isa: str) -> None:
    for base, weight_shape, x_shape, attributes in CASES:
        if base == "GlobalAveragePool" and variant:
            continue
        clips = {"clip_min": 0.0, "clip_max": 6.0} if variant == "Relu6" else {}
        op = base + variant.replace("Relu6", "")
        x = special_input(np.random.default_rng(2), x_shape)
        got, want = both(op, weight_shape, x, attributes | clips, isa)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=op)
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want), err_msg=op)
        known = np.isfinite(want)
        size = 1e-5 * np.maximum(1, np.abs(want[known]))
        assert (np.abs(got[known] - want[known]) <= size).all(), op
        np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)], err_msg=op)


@pytest.mark.parametrize("isa", float_isas())
def test_denormals_are_kept_as_dense_ones_are(isa: str) -> None:
    x = np.full((1, 2, 3, 8), 1e-40, np.float32)
    for op, weight in (
        ("CsrConv", np.ones((2, 2, 1, 1))),
        ("BlockCsrConv", np.ones((4, 2, 1, 1))),
        ("NmConv", np.ones((2, 2, 1, 1))),
        ("DenseConv", np.ones((2, 2, 1, 1))),
    ):
        constants = sparse_models.constants_of(op, weight.astype(np.float32), np.zeros(len(weight), np.float32))
        group = {"m": 4} if op == "NmConv" else {}
        (y,) = runtimes.session(sparse_models.model(op, constants, x_shape=x.shape, **group), isa=isa).run(
            None, {"X": x}
        )
        np.testing.assert_array_equal(y, np.broadcast_to(x[:, :1] + x[:, 1:], y.shape))


def test_a_weight_that_is_not_there_sees_no_infinity() -> None:
    weight, x = np.array([[0, 1], [1, 1]], np.float32), np.array([[np.inf, 2]], np.float32)
    model = sparse_models.layer("CsrGemm", weight, np.zeros(2, np.float32), [1, 2])
    np.testing.assert_array_equal(runtimes.session(model).run(None, {"X": x})[0], [[2, np.inf]])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(x @ weight.T, [[np.nan, np.inf]])
