"""Networks through each of the doors, pruned and exported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import own_networks
import pytest
import torch
from command_line import Run
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

import chita_edge
import exporters
from chita_edge.config import ExportConfig
from chita_edge.deploy.dense import input_sizes
from chita_edge.deploy.doors import OwnNetwork, open_network, prunable_weights, short_name, suited
from chita_edge.deploy.export import export
from chita_edge.deploy.weights_file import PrunedFile, prune_to_file
from chita_edge.engine.config import PruneConfig
from chita_edge.errors import UsageError
from chita_edge.models import ModelEntry
from chita_edge.network.weights import find_weights
from device_bench.errors import PlanError

QUICK = PruneConfig(method="magnitude", sparsity=0.6, recalibration_views=0)
SMALL = ExportConfig(target="x86_64")
TEXT_SHAPES = {"table": (20, 16), "wide": (16, 32), "narrow": (32, 8), "head": (3, 8)}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    own_networks.as_program(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, program: Path) -> Iterator[Path]:
    (tmp_path / "own_net.py").write_text(own_networks.CODE)
    onnx.save(own_networks.as_onnx(), tmp_path / "net.onnx")
    (tmp_path / "net.pt2").symlink_to(program)
    own_networks.samples(tmp_path / "data.npz")
    yield tmp_path
    sys.modules.pop("own_net", None)


def _own(text: str, **options: object) -> OwnNetwork:
    found = open_network(text, **options)  # type: ignore[arg-type]
    assert isinstance(found, OwnNetwork)
    return found


def test_all_doors_open_the_same_network(folder: Path) -> None:
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        expected = own_networks.Net().eval()(x)
        for text in (f"{folder}/own_net.py:Net", f"{folder}/net.pt2", f"{folder}/net.onnx"):
            own = _own(text)
            torch.testing.assert_close(own.model(x), expected)
            assert prunable_weights(own, own.model) is None
            found = find_weights(own.model, x[:1])
            assert [weight.name for weight in found if not weight.obstacle] == ["a.weight", "b.weight", "f.weight"]
            assert [weight.first for weight in found] == [True, False, False]
    assert _own(f"{folder}/own_net.py:Net", arguments={"width": 4}).model.a.out_channels == 4
    assert [short_name(str(folder / name)) for name in ("net.onnx", "net.pt2", "own_net.py:Net")] == [
        "net",
        "net",
        "Net",
    ]
    entry = open_network("mobilenet")
    assert isinstance(entry, ModelEntry)
    assert len(prunable_weights(entry, entry.architecture()) or ()) == 14


def test_weights_go_to_code_alone(folder: Path) -> None:
    other = {name: torch.ones_like(tensor) for name, tensor in own_networks.Net().state_dict().items()}
    save_file(other, folder / "ones.safetensors")
    own = _own(f"{folder}/own_net.py:Net", weights=folder / "ones.safetensors")
    assert bool((own.model.get_parameter("a.weight") == 1).all())
    for text, options, sentence in (
        (f"{folder}/net.onnx", {"weights": folder / "ones.safetensors"}, "--weights is for networks that code makes"),
        (f"{folder}/net.pt2", {"arguments": {"width": 3}}, "--model-arg is for networks that code makes"),
        ("mobilenet", {"arguments": {"width": 3}}, "--model-arg is for networks that code makes"),
        (f"{folder}/ones.safetensors", {}, "a state dict goes to --weights"),
        ("no_such_model", {}, "There is no model 'no_such_model'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            open_network(text, **options)  # type: ignore[arg-type]


def _pruned(folder: Path, text: str, out: str, config: PruneConfig = QUICK) -> PrunedFile:
    found = prune_to_file(text, folder / out, config, data=folder / "data.npz")
    assert found is not None
    return found


def test_the_same_options_make_the_same_weights_through_every_door(folder: Path) -> None:
    config = PruneConfig(sparsity=0.6, recalibration_views=1, samples_per_row=1)
    from_code = _pruned(folder, f"{folder}/own_net.py:Net", "code.pt", config)
    from_onnx = _pruned(folder, f"{folder}/net.onnx", "graph.onnx", config)
    state = torch.load(folder / "code.pt", weights_only=True)
    arrays = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(folder / "graph.onnx").graph.initializer
    }
    for name in ("a.weight", "b.weight", "f.weight"):
        array = arrays[name].T if name == "f.weight" else arrays[name]
        assert np.array_equal(array != 0, state[name].numpy() != 0), name
        np.testing.assert_allclose(array, state[name].numpy(), atol=2e-3)
    assert from_code.figures.sparsity == from_onnx.figures.sparsity == pytest.approx(0.6, abs=0.01)
    assert from_code.accuracy == from_onnx.accuracy


def test_a_pruned_graph_keeps_its_names_and_open_sizes(folder: Path) -> None:
    _pruned(folder, f"{folder}/net.onnx", "sparse.onnx")
    written = onnx.load(folder / "sparse.onnx")
    onnx.checker.check_model(written, full_check=True)
    (image,) = written.graph.input
    assert [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim] == [
        "batch",
        3,
        "height",
        "width",
    ]
    with pytest.raises(UsageError, match="is written as an ONNX file"):
        _pruned(folder, f"{folder}/net.onnx", "sparse.pt")
    with pytest.raises(UsageError, match="is written as a state dict"):
        _pruned(folder, f"{folder}/own_net.py:Net", "code.onnx")
    with pytest.raises(UsageError, match="needs --data"):
        prune_to_file(f"{folder}/net.onnx", folder / "x.onnx", QUICK)


def test_an_exported_graph_runs_at_other_sizes(folder: Path) -> None:
    _pruned(folder, f"{folder}/net.onnx", "sparse.onnx", QUICK.model_copy(update={"sparsity": 0.9}))
    made = export(folder / "sparse.onnx", SMALL, sizes={"image": (1, 3, 64, 64)})
    assert [layer.macs_dense for layer in made.layers] == [16 * 27 * 32**2, 32 * 16 * 32**2, 128]
    names = [value.name for value in (*made.model.graph.input, *made.model.graph.output)]
    assert names == ["image", "classes"]
    for shape in ((2, 3, 8, 8), (1, 3, 13, 21)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        dense, sparse = (
            onnxruntime.InferenceSession(model).run(None, {"image": x})[0]
            for model in (str(folder / "sparse.onnx"), exporters.to_bytes(made.model))
        )
        np.testing.assert_allclose(sparse, dense, atol=1e-5)


def test_an_open_size_is_asked_for_by_name(folder: Path) -> None:
    _pruned(folder, f"{folder}/net.onnx", "sparse.onnx")
    with pytest.raises(PlanError, match=r"input 'image' .* --input image=1x3xSIZExSIZE"):
        export(folder / "sparse.onnx", SMALL)
    with pytest.raises(PlanError, match="1×1×8×8 does not fit"):
        export(folder / "sparse.onnx", SMALL, sizes={"image": (1, 1, 8, 8)})
    with pytest.raises(PlanError, match="no input 'img'; it has image"):
        export(folder / "sparse.onnx", SMALL, sizes={"img": (1, 3, 8, 8)})
    graph = own_networks.as_onnx()
    assert input_sizes(graph, None, torch.zeros(7, 3, 9, 5)) == {"image": (1, 3, 9, 5)}
    assert input_sizes(graph, {"image": (4, 3, 2, 2)}, torch.zeros(7, 3, 9, 5)) == {"image": (1, 3, 2, 2)}
    assert input_sizes(own_networks.as_onnx((6, 7))) == {"image": (1, 3, 6, 7)}


def test_a_graph_that_torch_computes_in_part_is_reconstructed(folder: Path) -> None:
    """An operator of another domain: ONNX Runtime computes it, and layers around it are refitted without gradients."""
    given = own_networks.as_onnx((8, 8), 13)
    given.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    given.graph.node[1].CopyFrom(helper.make_node("BiasGelu", ["c1", "zeros"], ["r1"], domain="com.microsoft"))
    given.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.float32), "zeros"))
    onnx.save(given, folder / "odd.onnx")
    own = _own(f"{folder}/odd.onnx")
    assert own.model.runtime_nodes == ("r1 (BiasGelu)",)
    assert suited(PruneConfig(), own.model).method == "reconstruct"
    with pytest.raises(UsageError, match=r"gradients, and they end at r1 \(BiasGelu\)"):
        suited(PruneConfig(method="chita"), own.model)
    with pytest.raises(UsageError, match="removes channels from torch networks"):
        suited(PruneConfig(structure="filter"), own.model)
    found = _pruned(folder, f"{folder}/odd.onnx", "odd-sparse.onnx", PruneConfig(sparsity=0.5))
    assert found.figures.method == "reconstruct"
    assert found.figures.sparsity == pytest.approx(0.5, abs=0.01)
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    assert onnxruntime.InferenceSession(str(folder / "odd-sparse.onnx")).run(None, {"image": x})[0].shape == (2, 4)


def test_half_precision_is_pruned_in_float32(folder: Path) -> None:
    given = own_networks.as_onnx((8, 8))
    for tensor in given.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in (*given.graph.input, *given.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(given, folder / "half.onnx")
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = own_networks.Net().eval()(x)
        torch.testing.assert_close(_own(f"{folder}/half.onnx").model(x), expected, atol=5e-3, rtol=1e-2)
    told = "The network holds float16: its weights, inputs and outputs are raised to float32."
    assert _pruned(folder, f"{folder}/half.onnx", "half-sparse.onnx").notes == (told,)
    assert export(f"{folder}/half.onnx", SMALL).notes == (told,)
    assert onnx.load(folder / "half-sparse.onnx").graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_torch_is_raised_and_said(folder: Path, dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    (folder / "own_net.py").write_text(own_networks.CODE + f"\ndef half():\n    return Net().to(torch.{name})\n")
    told = f"The network holds {name}: its weights, inputs and outputs are raised to float32."
    assert _pruned(folder, f"{folder}/own_net.py:half", "half.pt").notes == (told,)
    state = torch.load(folder / "half.pt", weights_only=True)
    assert torch.equal(state["a.weight"], own_networks.Net().a.weight.to(dtype).float())
    made = export(f"{folder}/own_net.py:half", SMALL, sizes={"image": (1, 3, 8, 8)}, weights=folder / "half.pt")
    assert made.notes == (told,)
    figures = chita_edge.prune(own_networks.Net().to(dtype), torch.randn(4, 3, 8, 8), QUICK).figures
    assert figures.sentences()[-2] == f"Rewritten: numbers of {name} in float32."


def test_a_checkpoint_of_half_precision_is_said_in_the_table_and_in_json(folder: Path, chita_edge: Run) -> None:
    torch.save({"model": own_networks.Net().half().state_dict()}, folder / "half.pt")
    common = ("own_net.py:Net", "--weights", "half.pt")
    told = "The weights file half.pt: taken from 'model'; 10 tensors converted from float16."
    prune = ("prune", *common, "--data", "data.npz", "--out", "sparse.pt", "--method", "magnitude", "--force")
    export_ = ("export", *common, "--target", "x86_64", "--input", "image=1x3x8x8", "--out", "net2.onnx", "--force")
    for command in (prune, export_):
        done = chita_edge(*command)
        assert done.returncode == 0, done.stderr
        assert told in " ".join(done.stdout.split())
        assert json.loads(chita_edge(*command, "--json").stdout)["notes"] == [told]


def test_every_door_is_exported_with_its_open_sizes(folder: Path) -> None:
    sizes = {"image": (1, 3, 16, 16)}
    x = torch.randn(2, 3, 9, 12)
    with torch.no_grad():
        expected = own_networks.Net().eval()(x).numpy()
    for text, shape in (
        (f"{folder}/net.onnx", ("batch", 3, "height", "width")),
        (f"{folder}/net.pt2", None),
        (f"{folder}/own_net.py:Net", ("batch", 3, 16, 16)),
    ):
        made = export(text, SMALL, sizes=sizes)
        (image,) = made.model.graph.input
        declared = exporters.declared_shape(image)
        assert (image.name, declared) == ("image", shape or declared)
        assert [layer.macs_dense for layer in made.layers] == [16 * 27 * 64, 32 * 16 * 64, 128]
        if "own_net" not in text:
            assert declared is not None
            assert all(isinstance(declared[place], str) for place in (0, 2, 3))
            session = onnxruntime.InferenceSession(exporters.to_bytes(made.model))
            np.testing.assert_allclose(session.run(None, {"image": x.numpy()})[0], expected, atol=1e-5)
    with pytest.raises(UsageError, match=r"give the sizes of its inputs \(image\)"):
        export(f"{folder}/own_net.py:Net", SMALL)


def test_an_onnx_file_is_exported_without_torch(folder: Path) -> None:
    code = (
        "import sys, importlib.abc\n"
        "class Block(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from chita_edge.cli import main; main()\n"
    )
    options = ["--target", "arm64", "--out", "out.onnx", "--input", "image=1x3x32x32", "--json"]
    command = [sys.executable, "-c", code, "export", "net.onnx", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [layer["name"] for layer in json.loads(done.stdout)["layers"]] == ["c1", "c2", "p"]
    assert onnx.load(folder / "out.onnx").graph.input[0].name == "image"


def test_zeros_stored_as_sparse_tensors_are_zeros(folder: Path) -> None:
    given = own_networks.as_onnx((8, 8))
    array = next(numpy_helper.to_array(t) for t in given.graph.initializer if t.name == "b.weight").copy()
    array[::2] = 0
    kept = np.flatnonzero(array)
    (old,) = (tensor for tensor in given.graph.initializer if tensor.name == "b.weight")
    given.graph.initializer.remove(old)
    given.graph.input.remove(next(value for value in given.graph.input if value.name == "b.weight"))
    values = numpy_helper.from_array(array.reshape(-1)[kept], "b.weight")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(kept.astype(np.int64)), array.shape)
    given.graph.sparse_initializer.append(sparse)
    onnx.save(given, folder / "stored.onnx")
    made = export(folder / "stored.onnx", SMALL)
    assert [layer.sparsity for layer in made.layers] == [0, 0.5, 0]
    sparse.dims[0] = 2**40
    given.graph.sparse_initializer[0].CopyFrom(sparse)
    onnx.save(given, folder / "huge.onnx")
    with pytest.raises(exporters.LoadError, match=r"b\.weight"):
        export(folder / "huge.onnx", SMALL)


def test_a_program_is_pruned_like_its_network(folder: Path) -> None:
    found = _pruned(folder, f"{folder}/net.pt2", "program.pt", PruneConfig(sparsity=0.6, recalibration_views=0))
    assert [layer.name for layer in found.figures.layers] == ["b.weight", "f.weight"]
    made = export(f"{folder}/own_net.py:Net", SMALL, weights=folder / "program.pt", sizes={"image": (1, 3, 8, 8)})
    assert made.layers[1].sparsity > 0.5


def test_a_graph_of_token_numbers_and_a_second_input_with_weights_beside_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    constants = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in TEXT_SHAPES.items()}
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"]),
        helper.make_node("MatMul", ["e", "wide"], ["w"]),
        helper.make_node("Relu", ["w"], ["r"]),
        helper.make_node("MatMul", ["r", "narrow"], ["k"]),
        helper.make_node("ReduceMean", ["k"], ["m"], axes=[1], keepdims=0),
        helper.make_node("Add", ["m", "side"], ["j"]),
        helper.make_node("Gemm", ["j", "head"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "t"]),
            helper.make_tensor_value_info("side", TensorProto.FLOAT, ["n", 8]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    path = tmp_path / "text.onnx"
    onnx.save(model, path, save_as_external_data=True, location="text.bin", size_threshold=0)
    data = [{"ids": torch.randint(0, 20, (6,)), "side": torch.randn(8)} for _ in range(20)]
    pruned = chita_edge.prune(path, data, PruneConfig(method="reconstruct", sparsity=0.5, recalibration_views=0))
    assert [layer.name for layer in pruned.figures.layers] == ["wide", "narrow", "head"]
    sizes = {"ids": (1, 6), "side": (1, 8)}
    made = chita_edge.export(pruned.model, SMALL, sizes=sizes, example_input={k: v[None] for k, v in data[0].items()})
    feeds = {"ids": rng.integers(0, 20, (2, 9)), "side": rng.standard_normal((2, 8)).astype(np.float32)}
    (got,) = onnxruntime.InferenceSession(exporters.to_bytes(made.model)).run(None, feeds)
    with torch.no_grad():
        expected = pruned.model(**{name: torch.from_numpy(array) for name, array in feeds.items()}).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4 * float(np.abs(expected).max()))
