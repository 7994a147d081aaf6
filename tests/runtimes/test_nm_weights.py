"""N:M weights: malformed ones are refused by name, and sound ones compute what they say and take fewer bytes."""

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
WEIGHT = sparse_models.random_nm(np.random.default_rng(5), (8, 10, 1, 1), 2, 4)
GOOD = sparse_models.nm(WEIGHT, 4)  # three groups a row, the last one of two channels; 48 slots of two bits
VALUES, INDEX = GOOD["values"], GOOD["index"]
# Of 3 slots in groups of 5 there are 24 a row, whose bits end within a byte.
ODD = sparse_models.nm(sparse_models.random_nm(np.random.default_rng(6), (1, 5, 1, 1), 3, 5), 5)


def with_byte(index: sparse_models.Array, place: int, byte: int) -> sparse_models.Array:
    return np.concatenate([index[:place], [byte], index[place + 1 :]]).astype(np.uint8)


def beyond() -> dict[str, sparse_models.Array]:
    """The last group of the last row names the channels 2 and 3 of two."""
    return {"values": VALUES, "index": with_byte(INDEX, 11, INDEX[11] & 15 | 0b1110 << 4)}


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "no m": ({"m": None}, "lacks the attribute m"),
    "m of a float": ({"m": 4.0}, "attribute m must be an integer"),
    "m of 1": ({"m": 1}, "m is 1, outside 2 to 16"),
    "m of 17": ({"m": 17}, "m is 17, outside 2 to 16"),
    "m of billions": ({"m": 2**62}, "outside 2 to 16"),
    "as many slots as channels": ({"m": 2}, "values has 2 slots in a group of 2 channels, outside 1 to 1"),
    "no slots": ({"values": VALUES[..., :0].copy()}, "values has 0 slots"),
    "groups of another m": ({"m": 3}, "values has 3 groups of channels, 4 are needed"),
    "values of three dimensions": ({"values": VALUES[:, :, 0].copy()}, "values has 3 dimensions, 4 are needed"),
    "values of doubles": ({"values": VALUES.astype(np.float64)}, "values must be float32 or float16"),
    "a group too few": ({"values": VALUES[:, :2].copy()}, "values has 2 groups of channels, 3 are needed"),
    "a row too few": ({"values": VALUES[:7].copy()}, "values has 7 output channels, 8 are needed"),
    "two taps": ({"values": np.repeat(VALUES, 2, axis=2)}, "values has 2 taps, 1 are needed"),
    "another weight": ({"weight_shape": np.array([8, 13, 1, 1])}, "values has 3 groups of channels, 4 are needed"),
    "a huge weight": ({"weight_shape": np.array([8, 2**24 + 1, 1, 1])}, "dimension 1 of the weight"),
    "a byte too few": ({"index": INDEX[:-1]}, "index has 11 bytes, 48 slots need 12"),
    "a byte too many": ({"index": np.append(INDEX, np.uint8(0))}, "index has 13 bytes, 48 slots need 12"),
    "index of int32": ({"index": INDEX.astype(np.int32)}, "index must be uint8"),
    "index of two dimensions": ({"index": INDEX[None]}, "index has 2 dimensions"),
    "the same channel twice": ({"index": with_byte(INDEX, 0, 0)}, "not ascending: 0 comes after 0 in slot 1"),
    "falling channels": ({"index": with_byte(INDEX, 3, 0b00_01_10_11)}, "not ascending: 2 comes after 3 in slot 13"),
    "a value beyond the last channel": (beyond(), "slot 46 has a value at channel 10 of 10"),
    "bias of a group": ({"bias": BIAS[:3]}, "bias has 3 elements, a weight of 8 rows"),
    "a channel outside an odd group": (
        ODD | {"m": 5, "bias": BIAS[:1], "index": np.array([0b01_111_001, 0], np.uint8)},
        "slot 1 names channel 7 of a group of 5",
    ),
    "bits after the last slot": (
        ODD | {"m": 5, "bias": BIAS[:1], "index": ODD["index"] | np.array([0, 128], np.uint8)},
        "bits beyond the last slot",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_slots_are_refused_by_name(name: str) -> None:
    changes, words = MALFORMED[name]
    constants = GOOD | {"bias": BIAS} | changes
    m = constants.pop("m", 4)
    shape = [None, int(constants["weight_shape"][1]), 5, 5]
    model = sparse_models.model("NmConv", constants, x_shape=shape, name="target", **({} if m is None else {"m": m}))
    with pytest.raises(runtimes.SessionError, match=words) as refusal:
        runtimes.session(model)
    assert "target" in str(refusal.value)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (3, 5), (4, 16)])
@pytest.mark.parametrize("op", ["NmConv", "NmConvAdd", "NmGemm"])
def test_sound_slots_compute_what_they_say(op: str, n: int, m: int, half: bool) -> None:
    rng = np.random.default_rng(1)
    shape = (8, 21) if op == "NmGemm" else (8, 21, 1, 1)
    weight = sparse_models.random_nm(rng, shape, n, m)
    weight[3] = 0
    constants = sparse_models.nm(weight, m) | {"bias": BIAS}
    if half:
        constants["values"] = constants["values"].astype(np.float16)
        weight = weight.astype(np.float16).astype(np.float32)
    x = rng.normal(size=(2, 21) if op == "NmGemm" else (2, 21, 7, 5)).astype(np.float32)
    expected = sparse_models.reference(op.replace("Nm", "Csr"), x, weight, BIAS)
    feeds = {"X": x}
    if op == "NmConvAdd":
        feeds["residual"] = rng.normal(size=expected.shape).astype(np.float32)
        expected = expected + feeds["residual"]
    model = sparse_models.model(op, constants, x_shape=[None, *x.shape[1:]], clip_min=-0.5, m=m)
    for isa in float_isas():
        (y,) = runtimes.session(model, isa=isa).run(None, feeds)
        np.testing.assert_allclose(y, np.maximum(expected, -0.5), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("values", ["float32", "float16"])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (2, 5), (3, 6)])
def test_a_layer_with_n_of_m_is_written_in_slots(n: int, m: int, values: Any, tmp_path: Any) -> None:
    weight = sparse_models.random_nm(np.random.default_rng(3), (8, 12, 1, 1), n, m)
    dense = sparse_models.two_convolutions(weight, BIAS)
    exported = exporters.to_sparse(dense, lambda _: Decision(True, "test"), values)
    first, second = exported.layers
    assert (first.op, first.format, second.format) == ("NmConv", f"{n}:{m}", "csr")
    size, bits = (2 if values == "float16" else 4), (m - 1).bit_length()
    slots = 8 * -(-12 // m) * n
    assert first.bytes == slots * size + -(-slots * bits // 8) + 4 * 8 + BIAS.nbytes
    csr = sum(array.nbytes for array in sparse_models.csr(weight).values()) - (4 - size) * first.nnz + BIAS.nbytes
    assert first.bytes < csr
    assert (first.nnz, first.macs) == (np.count_nonzero(weight), 36 * np.count_nonzero(weight))
    exporters.save(exported.model, tmp_path / "model.onnx")
    loaded = exporters.load(tmp_path / "model.onnx")
    row = exporters.inspect(tmp_path / "model.onnx").layers[0]
    assert (row.op, row.format, row.nnz, row.bytes) == ("NmConv", f"{n}:{m}", first.nnz, first.bytes)
    x = np.random.default_rng(4).normal(size=(1, 12, 6, 6)).astype(np.float32)
    want = runtimes.dense_session(exporters.to_bytes(dense)).run(None, {"input": x})[0]
    for session in (runtimes.session, runtimes.dense_session):
        got = session(exporters.to_bytes(loaded)).run(None, {"input": x})[0]
        np.testing.assert_allclose(got, want, atol=1e-5 if values == "float32" else 2e-2)


def test_unstructured_zeros_stay_csr_and_blocks_stay_blocks() -> None:
    rng = np.random.default_rng(7)
    free = sparse_models.random_sparse(rng, (8, 64, 1, 1), 0.8)
    blocks = np.repeat(sparse_models.random_nm(rng, (2, 64, 1, 1), 1, 4), 4, axis=0)
    for weight, expected in ((free, "csr"), (blocks, "csr 4x1")):
        exported = exporters.to_sparse(sparse_models.two_convolutions(weight, BIAS), lambda _: Decision(True, "test"))
        assert exported.layers[0].format == expected
