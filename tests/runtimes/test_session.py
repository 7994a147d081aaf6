"""Sessions: every op computes what its definition says, and what goes wrong is a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import sparse_models
from kernel_isas import float_isas
from onnx import TensorProto, helper

import runtimes
from runtimes.errors import LibraryMissingError, OptionError, SessionError

RELU6 = {"clip_min": 0.0, "clip_max": 6.0}
CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("CsrConv", (24, 16, 1, 1), (2, 16, 7, 5), {}),
    ("CsrConv", (24, 16, 1, 1), (1, 16, 14, 14), {"strides": [2, 2], **RELU6}),
    ("CsrConv", (5, 300, 1, 1), (1, 300, 3, 3), {"clip_min": 0.0}),
    ("CsrConv", (8, 6, 3, 3), (2, 6, 9, 8), {"pads": [1, 1, 1, 1]}),
    ("CsrConv", (8, 6, 3, 2), (1, 6, 9, 8), {"pads": [2, 0, 1, 1], "strides": [2, 1], "dilations": [1, 2]}),
    ("CsrGemm", (10, 64), (3, 64), {}),
    ("CsrGemm", (7, 300), (1, 300), RELU6),
    ("DepthwiseConv", (12, 1, 3, 3), (2, 12, 8, 9), {"pads": [1, 1, 1, 1], **RELU6}),
    ("DepthwiseConv", (12, 1, 5, 5), (1, 12, 11, 11), {"pads": [2, 2, 2, 2], "strides": [2, 2]}),
    ("DenseConv", (16, 3, 3, 3), (1, 3, 16, 16), {"pads": [0, 0, 1, 1], "strides": [2, 2], **RELU6}),
    ("DenseConv", (4, 5, 1, 1), (2, 5, 4, 4), {}),
]


@pytest.mark.parametrize(("op", "weight_shape", "x_shape", "attributes"), CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_each_op_follows_its_definition(
    op: str, weight_shape: tuple[int, ...], x_shape: tuple[int, ...], attributes: dict[str, Any], threads: int
) -> None:
    rng = np.random.default_rng(5)
    weight = sparse_models.random_sparse(rng, weight_shape, 0.7 if op.startswith("Csr") else 0)
    bias = rng.normal(size=weight_shape[0]).astype(np.float32)
    x = rng.normal(size=x_shape).astype(np.float32)
    session = runtimes.session(
        sparse_models.layer(op, weight, bias, [None, *x_shape[1:]], **attributes), threads=threads
    )
    expected = sparse_models.reference(op, x, weight, bias, **attributes)
    (y,) = session.run(None, {"X": x})
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    (empty,) = session.run(None, {"X": x[:0]})
    assert empty.shape == (0, *expected.shape[1:])


@pytest.mark.parametrize(("kernel", "pads"), [(1, 0), (3, 1)])
def test_a_residual_is_added_before_the_clip(kernel: int, pads: int) -> None:
    rng = np.random.default_rng(9)
    weight, bias = sparse_models.random_sparse(rng, (20, 8, kernel, kernel), 0.6), np.ones(20, np.float32)
    x, residual = (rng.normal(size=(2, channels, 6, 7)).astype(np.float32) for channels in (8, 20))
    window: dict[str, Any] = {"pads": [pads] * 4}
    session = runtimes.session(sparse_models.layer("CsrConvAdd", weight, bias, x.shape, **window, **RELU6), threads=2)
    (y,) = session.run(None, {"X": x, "residual": residual})
    expected = np.clip(sparse_models.reference("CsrConv", x, weight, bias, **window) + residual, 0, 6)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    for wrong in (residual[:1], residual[:, :19], residual[..., :6], residual[0]):
        with pytest.raises(Exception, match='CsrConvAdd "layer": '):
            session.run(None, {"X": x, "residual": wrong})


def test_every_isa_and_thread_count_agrees() -> None:
    model = sparse_models.small_network(np.random.default_rng(1))
    x = np.random.default_rng(2).normal(size=(3, 3, 32, 32)).astype(np.float32)
    expected = runtimes.session(model, isa="reference").run(None, {"X": x})[0]
    for isa in float_isas():
        one = runtimes.session(model, isa=isa).run(None, {"X": x})[0]
        two = runtimes.session(model, isa=isa, threads=2).run(None, {"X": x})[0]
        assert one.tobytes() == two.tobytes()
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)
    assert runtimes.isas()[-1] == runtimes.host_isa()


def test_runs_at_the_same_time_do_not_share_their_scratch() -> None:
    model = sparse_models.small_network(np.random.default_rng(1))
    sessions = [runtimes.session(model, threads=threads) for threads in (1, 1, 2)]
    inputs = [np.random.default_rng(i).normal(size=(1 + i, 3, 32, 32)).astype(np.float32) for i in range(4)]
    expected = [sessions[0].run(None, {"X": x})[0].tobytes() for x in inputs]

    def run(i: int) -> bytes:
        result: bytes = sessions[i % 3].run(None, {"X": inputs[i % 4]})[0].tobytes()
        return result

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(120))) == [expected[i % 4] for i in range(120)]


def test_an_input_of_the_wrong_shape_names_the_node() -> None:
    weight = np.ones((4, 3, 5, 5), np.float32)
    model = sparse_models.layer("CsrConv", weight, np.zeros(4, np.float32), ["N", "C", "H", "W"], name="conv_7")
    session = runtimes.session(model)
    for shape, sentence in (
        ((1, 2, 6, 6), 'CsrConv "conv_7": its input has 2 channels, its weight has 3'),
        ((1, 3, 0, 6), 'CsrConv "conv_7": its input of 0 by 6 pixels is empty'),
        ((1, 3, 4, 6), 'CsrConv "conv_7": its kernel does not fit into an input of 4 by 6 pixels'),
    ):
        with pytest.raises(Exception, match=sentence):
            session.run(None, {"X": np.zeros(shape, np.float32)})
    assert session.run(None, {"X": np.ones((1, 3, 5, 5), np.float32)})[0].tolist() == [[[[75.0]]] * 4]
    model = sparse_models.layer("CsrConv", weight, np.zeros(4, np.float32), None, name="conv_7")
    with pytest.raises(Exception, match=r'CsrConv "conv_7": its input has 3 dimensions, 4 are needed'):
        runtimes.session(model).run(None, {"X": np.zeros((3, 6, 6), np.float32)})


def test_nan_passes_the_clip() -> None:
    for op, shape, x_shape in (("CsrConv", (2, 1, 1, 1), (1, 1, 2, 2)), ("CsrGemm", (2, 1), (1, 1))):
        model = sparse_models.layer(op, np.ones(shape, np.float32), np.zeros(2, np.float32), x_shape, **RELU6)
        (y,) = runtimes.session(model).run(None, {"X": np.full(x_shape, np.nan, np.float32)})
        assert np.isnan(y).all()


def dense_model() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["X"], ["Y"])],
        "relu",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [3])],
    )
    opsets = [helper.make_opsetid("", 21)]
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, ir_version=10, opset_imports=opsets))


def test_the_baseline_has_the_same_settings_and_no_library(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(dense_model())
    x = np.array([-1, 0, 2], np.float32)
    sessions = [runtimes.dense_session(path, threads=2), runtimes.session(str(path), threads=2)]
    for session in sessions:
        assert session.run(None, {"X": x})[0].tolist() == [0, 0, 2]
    dense, sparse = (session.get_session_options() for session in sessions)
    key = "session.force_spinning_stop"
    assert dense.get_session_config_entry(key) == sparse.get_session_config_entry(key) == "1"
    assert dense.intra_op_num_threads == sparse.intra_op_num_threads == 2
    assert dense.graph_optimization_level == sparse.graph_optimization_level
    with pytest.raises(SessionError, match=r"chita\.edge"):
        runtimes.dense_session(sparse_models.small_network(np.random.default_rng(0)))


def test_a_profile_is_written_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = runtimes.session(sparse_models.small_network(np.random.default_rng(0)), profile=True)
    session.run(None, {"X": np.zeros((1, 3, 32, 32), np.float32)})
    profile = Path(session.end_profiling())
    assert "CsrConv" in profile.read_text(encoding="utf-8")


def test_bad_options_and_models_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="threads must be from 1 to 256, not 0"):
        runtimes.session(dense_model(), threads=0)
    with pytest.raises(OptionError, match=r"no kernels for the instruction set 'avx3' here; there are reference, "):
        runtimes.session(dense_model(), isa="avx3")
    with pytest.raises(SessionError, match=r"the model .*nothing\.onnx is not a file"):
        runtimes.session(tmp_path / "nothing.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(dense_model()[:40])
    for make in (runtimes.session, runtimes.dense_session):
        with pytest.raises(SessionError, match=r"ONNX Runtime refused the model .*broken\.onnx: .+"):
            make(broken, trusted=True)
        with pytest.raises(SessionError, match=r"broken\.onnx: it is truncated.*checked before a runtime sees it"):
            make(broken)
        with pytest.raises(SessionError, match=r"the model .*nothing\.onnx is not a file"):
            make(tmp_path / "nothing.onnx", trusted=True)


def test_a_light_import_opens_models_in_ones_own() -> None:
    program = "import sys, runtimes; runtimes.dense_session(sys.stdin.buffer.read()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], input=dense_model(), capture_output=True, check=True)
    assert not {"torch", "onnx", "onnx_ir", "exporters", "chita_edge"} & set(done.stdout.decode().split())


def test_a_missing_library_says_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        LibraryMissingError, match="no kernel library for plan9-mips; there is one for linux-x86_64 and"
    ):
        runtimes.library("plan9-mips")
    monkeypatch.setattr(sys.modules["runtimes.library"], "_FOLDER", tmp_path)
    monkeypatch.setattr(sys.modules["runtimes.checkout"], "_RUNTIMES", tmp_path)
    with pytest.raises(LibraryMissingError, match=r"linux-aarch64 is not in this installation \(present: none\)"):
        runtimes.library("linux-aarch64")


def test_the_library_checks_its_own_session_entries() -> None:
    for key, value, sentence in (
        ("chita_edge.isa", "mmx", "chita_edge.isa must be one of reference"),
        ("chita_edge.intra_op_threads", "0", "must be a number from 1 to 256"),
        ("chita_edge.intra_op_threads", "99999999999999999999", "must be a number from 1 to 256"),
        ("chita_edge.intra_op_threads", "two", "must be a number from 1 to 256"),
    ):
        options = ort.SessionOptions()
        options.add_session_config_entry(key, value)
        with pytest.raises(Exception, match=sentence):
            options.register_custom_ops_library(str(runtimes.library()))
    options = ort.SessionOptions()  # somebody else's program, which knows nothing of our entries
    options.register_custom_ops_library(str(runtimes.library()))
    session = ort.InferenceSession(sparse_models.small_network(np.random.default_rng(0)), options)
    assert session.run(None, {"X": np.zeros((1, 3, 32, 32), np.float32)})[0].shape == (1, 10)


def test_telemetry_is_off_before_onnxruntime_is_loaded(tmp_path: Path) -> None:
    program = """
import builtins, os, sys
original = builtins.__import__
def watched(name, *rest):
    if name.split(".")[0] == "onnxruntime" and "onnxruntime" not in sys.modules:
        assert os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
        print("first import")
    return original(name, *rest)
builtins.__import__ = watched
import runtimes
"""
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["first import"]


def test_refused_sessions_leak_nothing(tmp_path: Path) -> None:
    """1,000 times, in a process of its own; test_lifetime.py has those that are created, run and dropped."""
    weight = sparse_models.random_sparse(np.random.default_rng(0), (512, 512, 1, 1), 0.5)
    constants = sparse_models.constants_of("CsrConv", weight, np.zeros(512, np.float32))
    constants["col_idx"][-1] = 0
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(sparse_models.model("CsrConv", constants, x_shape=[1, 512, 2, 2]))
    program = f"""
import gc, psutil, runtimes
def once():
    try:
        runtimes.session({str(bad)!r}, trusted=True)
    except runtimes.SessionError:
        return
    raise AssertionError("the malformed model was accepted")
for _ in range(100):
    once()
gc.collect()
before = psutil.Process().memory_info().rss
for _ in range(900):
    once()
gc.collect()
print(psutil.Process().memory_info().rss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 * 2**20, "900 sessions may not keep 9 kB each"


def test_a_pooling_takes_any_image_but_an_empty_one() -> None:
    model = sparse_models.model("GlobalAveragePool", {}, x_shape=["N", "C", "H", "W"], name="pool_3")
    session = runtimes.session(model, threads=2)
    rng = np.random.default_rng(3)
    for shape in ((1, 1, 1, 1), (2, 19, 7, 7), (3, 5, 1, 300), (0, 4, 2, 2)):
        x = rng.normal(size=shape).astype(np.float32)
        (y,) = session.run(None, {"X": x})
        assert y.shape == (*shape[:2], 1, 1)
        np.testing.assert_allclose(y[:, :, 0, 0], x.mean((2, 3)), rtol=1e-4, atol=1e-5)
    for shape in ((1, 0, 4, 4), (1, 4, 0, 4), (1, 4, 4, 0)):
        with pytest.raises(Exception, match=r'GlobalAveragePool "pool_3": dimension [123] of its input is 0'):
            session.run(None, {"X": np.zeros(shape, np.float32)})
