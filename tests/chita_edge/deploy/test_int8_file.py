"""An int8 network as a file: compressed, written, resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_network

from chita_edge.config import PruneFileConfig, QuantizeConfig
from chita_edge.deploy.int8_file import compress_to_file
from chita_edge.engine.config import PruneConfig
from chita_edge.errors import UsageError
from chita_edge.progress import Progress
from exporters.weights import nibbles

CONFIG = PruneFileConfig(dtype="int8", prune=PruneConfig(sparsity=0.5, seed=3, distill_epochs=1))


class _Enough(Exception):
    pass


def stopping_at(wanted: str) -> Progress:
    def progress(phase: str, done: int, total: int) -> None:
        if phase == wanted and done == total:
            raise _Enough

    return progress


def test_a_killed_run_goes_on_to_the_same_bytes(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    weights, data = tiny
    once, resumed, state = tmp_path / "once.onnx", tmp_path / "resumed.onnx", tmp_path / "state"
    told = compress_to_file(tiny_network.NAME, once, CONFIG, weights=weights, data=data)
    assert told.figures.sparsity == pytest.approx(0.5, abs=0.02)
    assert told.accuracy is not None
    for phase in ("sensitivities", "int8, 1x4, 50% zeros"):
        with pytest.raises(_Enough):
            compress_to_file(
                tiny_network.NAME, resumed, CONFIG, weights=weights, data=data, state_dir=state,
                progress=stopping_at(phase),
            )  # fmt: skip
    assert not resumed.exists()
    seen: list[str] = []
    compress_to_file(
        tiny_network.NAME, resumed, CONFIG, weights=weights, data=data, state_dir=state,
        progress=lambda phase, _done, _total: seen.append(phase),
    )  # fmt: skip
    assert "int8, 1x4, 50% zeros" in seen  # its end was told before it was kept
    assert resumed.read_bytes() == once.read_bytes()
    session = onnxruntime.InferenceSession(once.read_bytes(), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [1, 16, 16]


def test_fewer_bits_and_no_sparsity(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    weights, data = tiny
    config = PruneFileConfig(dtype="int8", quantize=QuantizeConfig(weight_bits=4))
    told = compress_to_file(tiny_network.NAME, tmp_path / "a.onnx", config, weights=weights, data=data)
    assert told.figures.sparsity == pytest.approx(0.75, abs=0.02)
    graph = onnx.load(tmp_path / "a.onnx").graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    packed = [arrays[node.input[0]] for node in graph.node if node.op_type == "Cast" and node.input[0] in arrays]
    plain = [array for array in arrays.values() if array.dtype == np.int8 and array.shape != nibbles.TABLE.shape]
    codes = [*plain, *map(nibbles.unpack, packed)]
    assert packed
    assert max(int(abs(code.astype(int)).max()) for code in codes) == 7


def test_a_state_dict_is_no_place_for_scales(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"call it .*a\.onnx"):
        compress_to_file("mobilenet", tmp_path / "a.pt", CONFIG)
