"""Every malformed node is refused in words that name the node and the rule; no malformed node ends the process.

The models go to another process in batches: a crash there is a failed test here, and says at which model it happened.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import sparse_models
from malformed import NODE, WEIGHTS, Malformed, malformed, weight_of, x_shape

import runtimes
from exporters.ops import OPS

_LOADER = """
import json, sys
from pathlib import Path
import runtimes
from exporters.ops import OPS
for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    print(path.name, end=" ", flush=True)
    try:
        runtimes.session(path, trusted=True)
    except runtimes.SessionError as error:
        print(json.dumps(str(error)), flush=True)
    else:
        print(json.dumps(None), flush=True)
"""


def refusals(models: Sequence[bytes], folder: Path) -> list[str | None]:
    """What the runtime says of each model; None where it accepts one."""
    for index, model in enumerate(models):
        (folder / f"{index:05}.onnx").write_bytes(model)
    command = [sys.executable, "-c", _LOADER, str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    answers = [json.loads(line.split(" ", 1)[1] or '"crash"') for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"the process ended with {done.returncode} at model {len(answers) - 1}: {done.stderr}"
    assert len(answers) == len(models)
    return answers


@pytest.mark.parametrize("op", sorted(WEIGHTS))
def test_every_malformed_node_is_refused_by_name(op: str, tmp_path: Path) -> None:
    variants: list[Malformed] = list(malformed(op))
    assert len({variant.name for variant in variants}) == len(variants)
    for variant, words in zip(variants, refusals([v.model for v in variants], tmp_path), strict=True):
        assert words is not None, f"{variant.name}: accepted"
        assert variant.words in words, f"{variant.name}: {words}"
        assert NODE in words, f"{variant.name}: {words}"


@pytest.mark.parametrize("op", sorted(WEIGHTS))
def test_what_the_malformed_ones_are_made_of_is_accepted(op: str) -> None:
    weight = weight_of(op)
    shape = [2, *(int(size) for size in x_shape(op)[1:])]  # type: ignore[arg-type]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    model = sparse_models.layer(op, weight, np.ones(6, np.float32), x_shape(op))
    expected = sparse_models.reference(op, x, weight, np.ones(6))
    feeds = {"X": x} | ({"residual": np.zeros(expected.shape, np.float32)} if op == "CsrConvAdd" else {})
    np.testing.assert_allclose(runtimes.session(model).run(None, feeds)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, -0.0, 1e-45])
def test_unusual_values_are_legal(index: type, special: float) -> None:
    weight = np.array([[1, special], [0, 2]], np.float32)
    constants = {
        "values": np.array([1, special, 2], np.float32),
        "col_idx": np.array([0, 1, 1], index),
        "row_ptr": np.array([0, 2, 3], np.int32),
        "weight_shape": np.array([2, 2], np.int64),
        "bias": np.zeros(2, np.float32),
    }
    session = runtimes.session(sparse_models.model("CsrGemm", constants, x_shape=[1, 2]))
    x = np.array([[1, 1]], np.float32)
    np.testing.assert_array_equal(session.run(None, {"X": x})[0], x @ weight.T)


@pytest.mark.parametrize("op", ["CsrConv", "CsrGemm"])
def test_a_weight_without_any_value_gives_the_bias(op: str) -> None:
    weight = np.zeros(WEIGHTS[op], np.float32)
    bias = np.arange(6, dtype=np.float32)
    shape = [1, *(int(size) for size in x_shape(op)[1:])]  # type: ignore[arg-type]
    (y,) = runtimes.session(sparse_models.layer(op, weight, bias, shape)).run(None, {"X": np.ones(shape, np.float32)})
    assert (y.reshape(6, -1) == bias[:, None]).all()


def mutated(rng: np.random.Generator) -> tuple[bytes, bytes]:
    """A model with up to three changes to its constants, and its weight in a dense Conv (empty: a rule is broken)."""
    shape = (int(rng.integers(1, 20)), int(rng.integers(1, 300)), 1, 1)
    weight = sparse_models.random_sparse(rng, shape, rng.random())
    constants = sparse_models.constants_of("CsrConv", weight, np.ones(shape[0], np.float32))
    for name in rng.choice(sorted(constants), rng.integers(0, 4)):
        array = constants[name].copy()
        if rng.random() < 0.2:
            array = array[: rng.integers(0, array.size + 1)]
        elif array.size:
            odd = [0, 1, 2, shape[1] - 1, shape[1], 255]
            if array.dtype.kind in "iu":
                odd += [np.iinfo(array.dtype).max, np.iinfo(array.dtype).min]
            # the kernel's height and width stay 1: no more is known to the reference
            array[rng.integers(2 if name == "weight_shape" else array.size)] = odd[rng.integers(len(odd))]
        constants[name] = array
    return sparse_models.model("CsrConv", constants, x_shape=["N", "C", "H", "W"]), sparse_models.densified(constants)


def test_mutations_are_refused_or_compute_what_they_say(tmp_path: Path) -> None:
    rng = np.random.default_rng(2024)
    models = [mutated(rng) for _ in range(200)]
    answers = refusals([sparse for sparse, _ in models], tmp_path)
    assert 20 < sum(answer is None for answer in answers) < 180
    for (sparse, dense), answer in zip(models, answers, strict=True):
        if answer is not None:
            assert 'CsrConv "layer": ' in answer, answer
            assert not dense, "a sound model was refused"
            continue
        assert dense, "a malformed model was accepted"
        session = runtimes.dense_session(dense, trusted=True)
        x = rng.normal(size=(1, session.get_inputs()[0].shape[1], 2, 3)).astype(np.float32)
        expected = session.run(None, {"X": x})[0]
        atol = 1e-4 * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(
            runtimes.session(sparse, trusted=True).run(None, {"X": x})[0], expected, rtol=1e-4, atol=atol
        )


def test_every_half_precision_value_is_widened_exactly() -> None:
    values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    constants = {
        "values": values,
        "col_idx": np.zeros(2**16, np.uint8),
        "row_ptr": np.arange(2**16 + 1, dtype=np.int32),
        "weight_shape": np.array([2**16, 1], np.int64),
        "bias": np.zeros(2**16, np.float32),
    }
    session = runtimes.session(sparse_models.model("CsrGemm", constants, x_shape=[1, 1]))
    (y,) = session.run(None, {"X": np.ones((1, 1), np.float32)})
    np.testing.assert_array_equal(y[0], values.astype(np.float32))


@pytest.mark.parametrize(
    ("flag", "half", "words"),
    [
        (1, False, "needs values of float16"),
        (2, True, "is 2, which is neither 0 nor 1"),
        (1.0, True, "must be an integer"),
    ],
)
def test_float16_arithmetic_is_checked(flag: float, half: bool, words: str) -> None:
    constants = sparse_models.constants_of("CsrConv", weight_of("CsrConv"), np.zeros(6, np.float32))
    if half:
        constants["values"] = constants["values"].astype(np.float16)
    given = {"x_shape": [None, 12, 5, 5], "name": NODE}
    with pytest.raises(runtimes.SessionError, match=words):
        runtimes.session(sparse_models.model("CsrConv", constants, float16_arithmetic=flag, **given))
    constants["values"] = constants["values"].astype(np.float16)
    x = np.ones((1, 12, 5, 5), np.float32)
    sessions = [sparse_models.model("CsrConv", constants, float16_arithmetic=one, **given) for one in (0, 1)]
    plain, hinted = (runtimes.session(model, isa="reference").run(None, {"X": x})[0] for model in sessions)
    np.testing.assert_array_equal(plain, hinted)


def test_every_op_with_weights_refuses_them_where_they_are_wrong(tmp_path: Path) -> None:
    wrong = []
    for op in (op for op in OPS.values() if op.constants and not op.stages):
        base = op.base.replace("Nm", "Csr")
        weight = weight_of(base) if base in WEIGHTS else weight_of("CsrConv")
        constants = sparse_models.constants_of(op.base, weight, np.zeros(6, np.float32))
        if op.base.startswith("Block"):
            constants |= sparse_models.csr(weight, 2)
        short = constants | {"bias": np.zeros(5, np.float32)}
        first = op.constants[0]
        damaged = {"row_ptr": constants["row_ptr"] + np.int32(1)} if op.is_csr else {first: constants[first][:0]}
        wrong += [(op.name, changed) for changed in (short, constants | damaged)]
    shapes = {
        "CsrGemm": [None, 12],
        "NmGemm": [None, 12],
        "DepthwiseConv": [None, 6, 5, 5],
        "DenseConv": [None, 5, 5, 5],
    }
    models = [
        sparse_models.model(
            name,
            constants,
            x_shape=shapes.get(OPS[name].base, [None, 12, 5, 5]),
            name=NODE,
            **({"m": 4} if OPS[name].is_nm else {}),
        )
        for name, constants in wrong
    ]
    for (name, _), words in zip(wrong, refusals(models, tmp_path), strict=True):
        assert words is not None, f"{name}: accepted"
        assert f'chita.edge {name} "{NODE}": ' in words, words
