"""QSequence in ONNX Runtime's sessions: the bits of numpy's integers, however threads come and whatever the sizes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest
from kernel_isas import int8_isas
from quantized_models import QNet

import runtimes


def mobile() -> QNet:
    """Every kind of stage but for max pooling: a stem, an inverted residual, squeeze and excite, a classifier."""
    net = QNet(np.random.default_rng(1), [3])
    stem = net.conv(net.quantize(), 10, 3, block_rows=0, stride=2)
    wide = net.table(net.conv(stem, 22))
    deep = net.conv(wide, 22, 3, depthwise=True)
    scale = net.gemm(net.table(net.gemm(net.mean(deep), 9, to_float=False)), 22, block_rows=1, to_float=False)
    scaled = net.mul(deep, net.table(scale))
    narrow = net.add(net.conv(scaled, 10, block_rows=2), stem)
    net.gemm(net.mean(net.conv(narrow, 33, sparsity=0.8)), 7, block_rows=2)
    return net


def residual() -> QNet:
    """Sums of either order, of values with several readers, in front of and behind both of what they add."""
    net = QNet(np.random.default_rng(2), [3])
    stem = net.max_pool(net.conv(net.quantize(), 9, 7, block_rows=0, stride=2))
    one = net.conv(net.conv(stem, 9, 3), 9, 3, block_rows=2, sparsity=0.9)
    first = net.add(one, stem)
    two = net.conv(net.conv(first, 13, 3, stride=2), 13, 3)
    short = net.conv(first, 13, 1, stride=2)
    second = net.add(two, short)
    third = net.add(second, net.conv(second, 13, 3, dilation=2))
    twice = net.add(net.table(third), net.max_pool(third, 3, 1))
    net.dequantize(net.add(twice, net.add(twice, twice)))
    return net


def tiny() -> QNet:
    """Nothing with weights."""
    net = QNet(np.random.default_rng(3), [5])
    net.dequantize(net.table(net.quantize()))
    return net


NETS: dict[str, Callable[[], QNet]] = {"mobile": mobile, "residual": residual, "tiny": tiny}


def session(model: bytes, threads: int = 1, isa: str = "best") -> ort.InferenceSession:
    return runtimes.session(model, threads=threads, **({} if isa == "best" else {"isa": isa}))


@pytest.mark.parametrize("name", NETS)
def test_its_bits_are_those_of_integers(name: str) -> None:
    """Of every instruction set, with 1 to 16 threads, for batches and sizes that one session sees one after another."""
    net = NETS[name]()
    model, rng = net.model(), np.random.default_rng(4)
    inputs = [rng.normal(0, 2, (batch, net.channels[0], *side)).astype(np.float32)
              for batch, side in ((1, (17, 23)), (3, (8, 8)), (0, (9, 9)), (2, (1, 5)), (1, (17, 23)))]  # fmt: skip
    wanted = [net.oracle(x) for x in inputs]
    for isa in int8_isas():
        for threads in (1, 3) if isa == "reference" else (1, 2, 5, 16):
            made = session(model, threads, isa)
            for x, want in zip(inputs, wanted, strict=True):
                got = made.run(None, {"X": x})[0]
                np.testing.assert_array_equal(got.view(np.int32), want.astype(np.float32).view(np.int32))


def test_sixteen_names_are_one_op() -> None:
    net = tiny()
    x = np.random.default_rng(5).normal(size=(1, 5, 3, 3)).astype(np.float32)
    for name in ("QSequence", *(f"QSequence{i}" for i in range(2, 17))):
        np.testing.assert_array_equal(session(net.model(name)).run(None, {"X": x})[0], net.oracle(x))


def test_as_many_stages_as_there_may_be() -> None:
    net = QNet(np.random.default_rng(6), [5])
    value = net.quantize()
    for _ in range(126):
        value = net.conv(value, 5, 1, sparsity=0.3)
    net.dequantize(value)
    x = np.random.default_rng(7).normal(size=(1, 5, 6, 7)).astype(np.float32)
    np.testing.assert_array_equal(session(net.model(), 2).run(None, {"X": x})[0], net.oracle(x))


def test_runs_at_the_same_time_in_several_sessions() -> None:
    nets = [mobile(), residual()]
    sessions = [session(net.model(), threads) for net in nets for threads in (1, 2)]
    rng = np.random.default_rng(8)
    inputs = [rng.normal(size=(1 + i % 2, 3, 12 + i, 15)).astype(np.float32) for i in range(4)]
    wanted = [[net.oracle(x) for x in inputs] for net in nets for _ in range(2)]

    def run(i: int) -> bool:
        got = sessions[i % 4].run(None, {"X": inputs[i // 4 % 4]})[0]
        return bool(np.array_equal(got, wanted[i % 4][i // 4 % 4]))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(96)))


def test_one_thread_does_the_work_of_many_that_do_not_come() -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("chita_edge.intra_op_threads", "4")
    options.register_custom_ops_library(str(runtimes.library()))
    net = residual()
    x = np.random.default_rng(9).normal(size=(1, 3, 40, 40)).astype(np.float32)
    alone = ort.InferenceSession(net.model(), options, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(alone.run(None, {"X": x})[0], net.oracle(x))


def test_special_inputs_become_bytes_as_those_of_onnx_runtime() -> None:
    net = tiny()
    x = np.resize(np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38, -3e38, 0.5], np.float32), (1, 5, 3, 3))
    np.testing.assert_array_equal(session(net.model()).run(None, {"X": x})[0], net.oracle(x))
