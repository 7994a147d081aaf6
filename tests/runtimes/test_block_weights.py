"""Weights in blocks of output channels: malformed ones are refused by name, and sound ones compute what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sparse_models
from kernel_isas import float_isas

import exporters
import runtimes
from exporters import Decision

BIAS = np.ones(8, np.float32)


def weight_of(block_rows: int, seed: int = 5) -> sparse_models.Array:
    rng = np.random.default_rng(seed)
    weight = np.repeat(rng.random((8 // block_rows, 12, 1, 1)) < 0.5, block_rows, axis=0) * rng.normal(
        size=(8, 12, 1, 1)
    )
    weight[-block_rows:, :3] = 1
    return weight.astype(np.float32)


GOOD = sparse_models.csr(weight_of(4), 4)
VALUES, COLUMNS, ROW_PTR = (GOOD[key] for key in ("values", "col_idx", "row_ptr"))
MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "values of one dimension": ({"values": VALUES[:, 0].copy()}, "values has 1 dimensions, 2 are needed"),
    "values of three dimensions": ({"values": VALUES[None]}, "values has 3 dimensions, 2 are needed"),
    "blocks of one": ({"values": VALUES[:, :1].copy()}, "the rows of values have 1 entries, blocks of 2 or 4"),
    "blocks of three": ({"values": VALUES[:, :3].copy()}, "the rows of values have 3 entries"),
    "blocks of none": ({"values": VALUES[:, :0].copy()}, "the rows of values have 0 entries"),
    "blocks of two, rows of four": (
        {"values": VALUES[:, :2].copy()},
        "row_ptr has 3 entries, a weight of 4 rows needs 5",
    ),
    "half a block of channels": (
        {"weight_shape": np.array([6, 12, 1, 1]), "bias": BIAS[:6]},
        "6 output channels are no whole number of blocks of 4",
    ),
    "a row_ptr for every channel": ({"row_ptr": np.arange(9, dtype=np.int32)}, "row_ptr has 9 entries"),
    "row_ptr ends too late": ({"row_ptr": ROW_PTR + np.array([0, 0, 1], np.int32)}, f"ends at {len(VALUES) + 1}"),
    "row_ptr counts values": ({"row_ptr": ROW_PTR * 4}, f"ends at {4 * len(VALUES)}, but there are {len(VALUES)}"),
    "fewer values": ({"values": VALUES[:-1]}, f"there are {len(VALUES) - 1} values but {len(VALUES)} column numbers"),
    "column beyond the row": ({"col_idx": np.append(COLUMNS[:-1], 12).astype(np.uint8)}, "is 12, outside the"),
    "columns not ascending": ({"col_idx": COLUMNS[::-1].copy()}, "not ascending"),
    "column twice": ({"col_idx": np.append(COLUMNS[:-1], COLUMNS[-2])}, "names column"),
    "bias for every block": ({"bias": BIAS[:2]}, "bias has 2 elements, a weight of 8 rows"),
    "values of doubles": ({"values": VALUES.astype(np.float64)}, "values must be float32 or float16"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_blocks_are_refused_by_name(name: str) -> None:
    changes, words = MALFORMED[name]
    model = sparse_models.model(
        "BlockCsrConv", GOOD | {"bias": BIAS} | changes, x_shape=[None, 12, 5, 5], name="target"
    )
    with pytest.raises(runtimes.SessionError, match=words) as refusal:
        runtimes.session(model)
    assert "target" in str(refusal.value)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("block_rows", [2, 4])
@pytest.mark.parametrize("op", ["BlockCsrConv", "BlockCsrConvAdd"])
def test_sound_blocks_compute_what_they_say(op: str, block_rows: int, half: bool) -> None:
    weight, x = weight_of(block_rows), np.random.default_rng(1).normal(size=(2, 12, 7, 5)).astype(np.float32)
    constants = sparse_models.csr(weight, block_rows) | {"bias": BIAS}
    if half:
        constants["values"] = constants["values"].astype(np.float16)
        weight = weight.astype(np.float16).astype(np.float32)
    expected = sparse_models.reference("CsrConv", x, weight, BIAS, clip_min=-0.5)
    residual = np.random.default_rng(2).normal(size=expected.shape).astype(np.float32)
    feeds = {"X": x}
    if op == "BlockCsrConvAdd":
        exact = sparse_models.reference("CsrConv", x, weight, BIAS)
        expected, feeds["residual"] = np.maximum(exact + residual, -0.5), residual
    model = sparse_models.model(op, constants, x_shape=[None, 12, 7, 5], clip_min=-0.5)
    for isa in float_isas():
        (y,) = runtimes.session(model, isa=isa).run(None, feeds)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block_rows", [2, 4])
def test_a_layer_with_zeros_in_blocks_is_written_in_blocks(block_rows: int, tmp_path: Any) -> None:
    dense = sparse_models.two_convolutions(weight_of(block_rows), BIAS)
    asked: list[exporters.SparsifyCandidate] = []

    def rule(in_blocks: bool) -> exporters.Decide:
        def decide(info: exporters.SparsifyCandidate) -> Decision:
            asked.append(info)
            return Decision(True, "test", in_blocks)

        return decide

    plain, blocks = (exporters.to_sparse(dense, rule(in_blocks)) for in_blocks in (False, True))
    assert (asked[0].block_rows, asked[0].block_density) == (block_rows, 1 - asked[0].sparsity)
    assert asked[1].block_rows == 1  # five channels
    assert plain.layers[0].op in ("CsrConv", "NmConv")
    assert [layer.format for layer in blocks.layers] == [f"csr {block_rows}x1", "csr"]
    row_by_row = sum(array.nbytes for array in sparse_models.csr(weight_of(block_rows)).values()) + BIAS.nbytes
    assert blocks.layers[0].bytes < row_by_row
    assert blocks.layers[0].macs == plain.layers[0].macs
    exporters.save(blocks.model, tmp_path / "model.onnx")
    loaded = exporters.load(tmp_path / "model.onnx")
    assert [row.format for row in exporters.inspect(tmp_path / "model.onnx").layers] == [f"csr {block_rows}x1", "csr"]
    x = np.random.default_rng(4).normal(size=(1, 12, 6, 6)).astype(np.float32)
    want = runtimes.dense_session(exporters.to_bytes(dense)).run(None, {"input": x})[0]
    for session in (runtimes.session, runtimes.dense_session):
        np.testing.assert_allclose(session(exporters.to_bytes(loaded)).run(None, {"input": x})[0], want, atol=1e-5)
