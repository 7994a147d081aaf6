"""Sound in structure wherever something can be kept, or refused. What the main graph holds, test_load attacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters import (
    ExternalDataError,
    Limits,
    LoadError,
    MalformedModelError,
    NotOnnxError,
    TooLargeError,
    UnsupportedOpError,
)
from exporters.read import read


@pytest.fixture
def model(foreign: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(foreign.SerializeToString())


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[..., str]:
    def check(content: onnx.ModelProto | bytes, error: type[LoadError], limits: Limits | None = None) -> str:
        path = tmp_path / "model.onnx"
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        with pytest.raises(error) as caught:
            read(path, limits or Limits())
        assert type(caught.value) is error
        assert str(caught.value).startswith(f"{path}: ")
        return str(caught.value)

    return check


def branch(model: onnx.ModelProto) -> onnx.GraphProto:
    node = next(node for node in model.graph.node if node.op_type == "If")
    return next(attribute.g for attribute in node.attribute if attribute.name == "then_branch")


# Every place where a model can keep a tensor.
PLACES: dict[str, Callable[[onnx.ModelProto], Any]] = {
    "graph": lambda model: model.graph.initializer.add(),
    "sparse": lambda model: model.graph.sparse_initializer.add().values,
    "sparse indices": lambda model: model.graph.sparse_initializer.add().indices,
    "attribute": lambda model: model.graph.node[0].attribute.add(name="a").t,
    "branch": lambda model: branch(model).initializer.add(),
    "function": lambda model: model.functions[0].node[0].attribute.add(name="a").tensors.add(),
    "training": lambda model: model.training_info.add().algorithm.initializer.add(),
}


@pytest.mark.parametrize("place", PLACES)
def test_tensors_are_as_large_as_their_bytes_everywhere(
    refusal: Callable, model: onnx.ModelProto, tmp_path: Path, place: str
) -> None:
    tensor = PLACES[place](model)
    tensor.CopyFrom(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], raw_data=bytes(8)))
    (tmp_path / "sound.onnx").write_bytes(model.SerializeToString())
    assert read(tmp_path / "sound.onnx").model == model
    tensor.dims[0] = 2**29
    assert "2147483648 bytes" in refusal(model, MalformedModelError)


@pytest.mark.parametrize("place", PLACES)
def test_external_data_stays_in_the_folder_everywhere(
    refusal: Callable, model: onnx.ModelProto, tmp_path: Path, place: str
) -> None:
    tensor = PLACES[place](model)
    tensor.CopyFrom(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL))
    tensor.external_data.add(key="location", value="data")
    (tmp_path / "data").write_bytes(bytes(8))
    (tmp_path / "sound.onnx").write_bytes(model.SerializeToString())
    source = read(tmp_path / "sound.onnx")
    assert (source.file_bytes, source.bytes) == (model.ByteSize(), model.ByteSize() + 8)
    tensor.external_data[0].value = "/etc/hostname"
    assert "outside the model's folder" in refusal(model, ExternalDataError)


@pytest.mark.parametrize("dims", [[0, 2**40, 2**40], [0, 2**41], [1] * 33, [-1]])
def test_dimensions_that_no_file_holds_are_refused(refusal: Callable, model: onnx.ModelProto, dims: list[int]) -> None:
    model.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims))
    assert "dimensions" in refusal(model, MalformedModelError)


def test_strings_are_counted(refusal: Callable, model: onnx.ModelProto) -> None:
    next(tensor for tensor in model.graph.initializer if tensor.name == "words").string_data.append(b"d")
    assert "needs 2 strings, but 3" in refusal(model, MalformedModelError)


@pytest.mark.parametrize("data_type", [0, 99])
def test_unknown_element_types_are_refused(refusal: Callable, model: onnx.ModelProto, data_type: int) -> None:
    model.graph.initializer.append(TensorProto(name="w", dims=[0]))
    model.graph.initializer[-1].data_type = data_type
    assert f"element type {data_type}" in refusal(model, UnsupportedOpError)


def test_nodes_are_counted_in_branches_and_functions(refusal: Callable, model: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "sound.onnx").write_bytes(model.SerializeToString())
    count = 9 + 3 + 2
    assert read(tmp_path / "sound.onnx", Limits(nodes=count)).model == model
    assert "nodes allowed" in refusal(model, TooLargeError, Limits(nodes=count - 1))


def test_names_are_text(refusal: Callable, model: onnx.ModelProto) -> None:
    branch(model).node[1].name = "inner-name"
    data = model.SerializeToString().replace(b"inner-name", b"inner-\xff\xfe\xfdx")
    assert "no text" in refusal(data, NotOnnxError)


def test_csr_in_a_branch_is_validated(
    refusal: Callable, model: onnx.ModelProto, sparse: onnx.ModelProto, tmp_path: Path
) -> None:
    inside = branch(model)
    node = next(node for node in sparse.graph.node if node.name == "pw")
    inside.node.append(node)
    used = [tensor for tensor in sparse.graph.initializer if tensor.name in node.input]
    # Half of them in the branch, half in the graph around it.
    inside.initializer.extend(used[:2])
    model.graph.initializer.extend(used[2:])
    (tmp_path / "sound.onnx").write_bytes(model.SerializeToString())
    assert read(tmp_path / "sound.onnx").model == model
    for graph in (inside, model.graph):
        for tensor in graph.initializer:
            if tensor.name == "pw.row_ptr":
                tensor.CopyFrom(numpy_helper.from_array(np.ones(17, np.int32), "pw.row_ptr"))
    assert "no valid sparse weight" in refusal(model, MalformedModelError)


def test_another_version_of_our_operators_is_refused(refusal: Callable, model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("chita.edge", 2))
    assert "version 2" in refusal(model, UnsupportedOpError)
