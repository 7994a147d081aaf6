"""Files that fix their batch to one: pruned, exported, judged and built like the network that they came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import own_networks
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

import chita_edge
import exporters
from chita_edge.config import BenchConfig, BuildConfig, ExportConfig
from chita_edge.deploy.export import export
from chita_edge.deploy.feeds import for_check, outputs_of
from chita_edge.deploy.weights_file import prune_to_file
from chita_edge.engine.config import PruneConfig
from chita_edge.models import WeightsError
from chita_edge.models.program import load_program
from chita_edge.pipeline import build

PRUNE = PruneConfig(method="default", sparsity=0.6, recalibration_views=0)
NOTE = "The network's file fixes its batch to one: samples are run one at a time, which is slower."


class Flat(nn.Module):
    """A network whose exported program says how many numbers its one sample has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1, stride=2), nn.Conv2d(16, 32, 1)
        self.f = nn.Linear(32 * 16, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.b(torch.relu(self.a(image))))
        return self.f(x.reshape(x.size(0), -1))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fixed") / "flat.pt2"
    torch.export.save(torch.export.export(Flat().eval(), (torch.randn(1, 3, 8, 8),)), path)
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[Path]:
    own_networks.samples(tmp_path / "data.npz", 40)
    yield tmp_path / "data.npz"


def test_a_program_is_pruned_sample_by_sample_like_its_network(program: Path) -> None:
    images = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    alone, together = chita_edge.prune(str(program), images, PRUNE), chita_edge.prune(Flat().eval(), images, PRUNE)
    for name, mask in together.masks.items():
        assert float((alone.masks[name] == mask).float().mean()) > 0.99
    with torch.no_grad():
        expected = together.model(images)
        each = torch.cat([alone.model(image[None]) for image in images])
    torch.testing.assert_close(each, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_prune_writes_a_program_and_a_state_dict_that_export_takes(program: Path, samples: Path) -> None:
    folder = samples.parent
    whole, state = folder / "sparse.pt2", folder / "sparse.pt"
    told = prune_to_file(str(program), whole, PRUNE, data=samples)
    prune_to_file(str(program), state, PRUNE, data=samples)
    assert told is not None
    assert NOTE in told.notes
    made = [
        export(str(path), ExportConfig(target="x86_64"), weights=weights)
        for path, weights in ((whole, None), (program, state))
    ]
    assert made[0].model.SerializeToString() == made[1].model.SerializeToString()
    zeros = sum(layer.sparsity * np.prod(layer.shape) for layer in made[0].layers)
    assert zeros == pytest.approx(0.6 * (16 * 32 + 4 * 32 * 16), abs=2)
    assert exporters.declared_shape(made[0].model.graph.input[0]) == (1, 3, 8, 8)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        expected = load_program(whole).module(x)
    found = onnxruntime.InferenceSession(exporters.to_bytes(made[0].model)).run(None, {"image": x.numpy()})[0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_build_makes_the_network_that_prune_and_export_make(program: Path, samples: Path) -> None:
    folder = samples.parent
    config = BuildConfig(
        model=str(program),
        dtype="float32",
        prune=PRUNE,
        export=ExportConfig(target="x86_64"),
        bench=BenchConfig(samples=50),
    )
    built = build(config, folder / "bundle", data=samples)
    prune_to_file(str(program), folder / "sparse.pt2", PRUNE, data=samples)
    made = export(str(folder / "sparse.pt2"), config.export)
    shipped, apart = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for model in (onnx.load(folder / "bundle" / "model.onnx"), made.model)
    )
    assert NOTE in built.notes
    assert set(shipped) == set(apart)
    assert all(np.array_equal(array, apart[name]) for name, array in shipped.items())


def test_a_program_of_another_fixed_batch_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "four.pt2"
    torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.randn(4, 3),)), path)
    with pytest.raises(WeightsError, match="takes 4 samples at a time and no other number"):
        load_program(path)


def _fixed(path: Path, batch: int, mixes: bool = False) -> None:
    """The network as a graph of a fixed batch; with `mixes` it divides by the largest pixel of all samples."""
    model = own_networks.as_onnx(sides=(8, 8))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    if mixes:
        model.graph.node[0].input[0] = "scaled"
        model.graph.node.insert(0, helper.make_node("Div", ["image", "top"], ["scaled"]))
        model.graph.node.insert(0, helper.make_node("ReduceMax", ["image"], ["top"]))
    onnx.save(model, path)


@pytest.mark.parametrize("mixes", [False, True])
def test_a_graph_is_built_and_judged_sample_by_sample(tmp_path: Path, samples: Path, mixes: bool) -> None:
    _fixed(tmp_path / "net.onnx", 1, mixes)
    config = BuildConfig(
        model=str(tmp_path / "net.onnx"),
        dtype="float32",
        prune=PRUNE,
        export=ExportConfig(target="x86_64"),
        bench=BenchConfig(samples=50),
    )
    built = build(config, tmp_path / "bundle", data=samples)
    assert (NOTE in built.notes) == mixes
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    with np.load(samples) as data:
        x, y = data["x_val"], data["y_val"]
    right = [session.run(None, {"image": image[None]})[0].argmax() == label for image, label in zip(x, y, strict=True)]
    assert built.accuracy.dense == pytest.approx(np.mean(right))
    assert built.accuracy.int8 is not None


def test_reconstruction_of_a_graph_sees_every_sample(tmp_path: Path) -> None:
    """Each sample alone has one pixel's worth of inputs: a fit to the first of them would be off for the others."""
    _fixed(tmp_path / "net.onnx", 1, mixes=True)
    images = torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(1)) + 0.5
    config = PRUNE.model_copy(update={"method": "reconstruct"})
    sparse = chita_edge.prune(str(tmp_path / "net.onnx"), images, config)
    plain = own_networks.Net().eval()
    scaled = images / images.amax((1, 2, 3), keepdim=True)
    expected = chita_edge.prune(plain, scaled, config)
    kept = {mask.shape: mask for mask in expected.masks.values()}
    for mask in sparse.masks.values():
        assert float((mask == kept[mask.shape]).float().mean()) > 0.98


@pytest.mark.parametrize("batch", [1, 4])
def test_any_number_of_samples_goes_through_a_session_of_a_fixed_batch(tmp_path: Path, batch: int) -> None:
    _fixed(tmp_path / "net.onnx", batch)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    images = torch.randn(6, 3, 8, 8)
    with torch.no_grad():
        expected = own_networks.Net().eval()(images).numpy()
    np.testing.assert_allclose(outputs_of(session, images)[0], expected, atol=1e-5)
    assert len(for_check(session, images[:2])) == batch


def test_weights_of_a_program_are_replaced_and_nothing_else(program: Path, tmp_path: Path) -> None:
    weights = {name: torch.zeros_like(tensor) for name, tensor in Flat().state_dict().items()}
    torch.save(weights, tmp_path / "zeros.pt")
    made = export(str(program), ExportConfig(target="x86_64"), weights=tmp_path / "zeros.pt")
    assert not any(numpy_helper.to_array(tensor).any() for tensor in made.model.graph.initializer if tensor.dims)
