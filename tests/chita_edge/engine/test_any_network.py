"""`prune` on networks, numbers and labels of all kinds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from chita_edge import ChitaEdgeError, PruneConfig, prune
from chita_edge.datasets import LabelledImages
from chita_edge.network.distance import divergence

METHODS = ("default", "chita_bso", "reconstruct", "magnitude")


def network(outputs: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, outputs),
    ).eval()  # fmt: skip


def images(*shape: int) -> torch.Tensor:
    return torch.randn(24, *(shape or (3, 8, 8)), generator=torch.Generator().manual_seed(1))


def labels(classes: int = 4) -> torch.Tensor:
    return torch.randint(0, classes, (24,), generator=torch.Generator().manual_seed(2))


class TwoOutputs(nn.Module):
    """One output as two classes: a constant 0 and what it says."""

    def __init__(self, one: nn.Module) -> None:
        super().__init__()
        self.one = one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.one(x)
        return torch.cat([torch.zeros_like(z), z], 1)


@pytest.mark.parametrize("options", [{"method": "default"}, {"method": "magnitude", "distill_epochs": 2}])
def test_one_output_is_pruned_as_the_same_network_with_two(options: dict[str, Any]) -> None:
    one = network(1)
    config = PruneConfig(sparsity=0.5, **options)
    found = [
        prune(net, LabelledImages(images(), labels(2)), config, prunable=names)
        for net, names in (
            (one, ("3.weight", "8.weight", "10.weight")),
            (TwoOutputs(one), ("one.3.weight", "one.8.weight", "one.10.weight")),
        )
    ]
    single, double = (
        divergence(TwoOutputs(f.model) if f is found[0] else f.model, TwoOutputs(one), images()) for f in found
    )
    assert single == pytest.approx(double, rel=0.5, abs=1e-3)
    kept = [torch.cat([mask.flatten() for mask in result.masks.values()]) for result in found]
    assert float((kept[0] == kept[1]).float().mean()) > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_series_of_sensors_are_pruned(method: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(6, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 1), nn.BatchNorm1d(8), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4),
    ).eval()  # fmt: skip
    config = PruneConfig(method=method, sparsity=0.5, distill_epochs=1)
    names = ("0.weight", "3.weight", "8.weight")
    result = prune(net, LabelledImages(images(6, 32), labels()), config, prunable=names)
    assert result.figures.sparsity == pytest.approx(0.5, abs=0.02)
    assert [layer.shape for layer in result.figures.layers] == [(8, 6, 5), (8, 8, 1), (4, 8)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_pruned_in_float32(dtype: torch.dtype) -> None:
    net = network().to(dtype)
    result = prune(net, LabelledImages(images().to(dtype), labels()), PruneConfig(sparsity=0.5))
    assert {parameter.dtype for parameter in result.model.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in net.parameters()} == {dtype}
    assert divergence(result.model, network(), images()) < 1


@pytest.mark.parametrize("method", ["default", "chita", "reconstruct", "magnitude", "chita_bso"])
def test_labels_are_not_needed(method: str) -> None:
    result = prune(network(), LabelledImages(images()), PruneConfig(method=method, sparsity=0.5))
    assert result.figures.sparsity == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("structure", ["unstructured", "filter"])
def test_labels_change_nothing_unless_a_loss_is_asked_for(structure: str) -> None:
    config = PruneConfig(sparsity=0.5, structure=structure, recalibration_views=0, distance="classes")
    loss = config.model_copy(update={"loss": "cross_entropy"})
    names = ("3.weight", "8.weight")
    labelled = LabelledImages(images(), labels())
    without, beside, by_loss = (
        prune(network(), data, how, prunable=names)
        for data, how in ((images(), config), (labelled, config), (labelled, loss))
    )
    assert all(torch.equal(without.masks[name], beside.masks[name]) for name in names)
    assert without.figures.objective == beside.figures.objective != by_loss.figures.objective


def test_a_shared_weight_is_pruned_once_and_stays_shared() -> None:
    net = network(8)
    net[10].weight = net[8].weight
    result = prune(net, LabelledImages(images(), labels(8)), PruneConfig(sparsity=0.5))
    assert list(result.masks) == ["3.weight", "8.weight"]
    assert result.model[10].weight is result.model[8].weight  # type: ignore[index]
    assert not result.model[10].weight.detach()[~result.masks["8.weight"]].any()  # type: ignore[index]


class Heads(nn.Module):
    """Answers as detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.boxes, self.scores = network()[:6], nn.Conv2d(8, 4, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.body(x)
        return {"boxes": self.boxes(x), "scores": self.scores(x)}


def test_several_outputs_come_closer_by_refitting() -> None:
    net, data = Heads().eval(), LabelledImages(images())
    plain, fitted = (
        prune(net, data, PruneConfig(method=method, sparsity=0.6, allocation="uniform")).model
        for method in ("magnitude", "reconstruct")
    )
    assert divergence(fitted, net, images()) < divergence(plain, net, images())


def test_training_mode_of_the_given_network_changes_nothing() -> None:
    nets = network(), network().train()
    found = [prune(net, LabelledImages(images(), labels()), PruneConfig(sparsity=0.5)).model for net in nets]
    assert nets[1].training
    for name, value in found[0].state_dict().items():
        assert torch.equal(value, found[1].state_dict()[name])
    for name, value in network().state_dict().items():
        assert torch.equal(value, nets[1].state_dict()[name])


@pytest.mark.parametrize(
    ("data", "config", "reason"),
    [
        (
            LabelledImages(images(), labels() + 1),
            {"loss": "cross_entropy"},
            "A calibration label is 4; this network's classes are 0 to 3",
        ),
        (LabelledImages(images()), {"curvature": "loss"}, "is to go by the loss, so it needs labels"),
        (LabelledImages(images()), {"loss": "cross_entropy"}, "the data hold none. Give labels, or no loss"),
        (
            LabelledImages(images(), labels()),
            {"loss": "hinge"},
            "There is no loss 'hinge'; there are",
        ),
        (LabelledImages(images(), labels()[:-1]), {}, "one int64 label an image"),
        (LabelledImages(images()[:0], labels()[:0]), {}, "at least one image"),
        (LabelledImages((images() * 40).to(torch.uint8), labels()), {}, "needs a float tensor"),
        (LabelledImages(images(5, 8, 8), labels()), {}, "samples of shape (5, 8, 8)"),
        (LabelledImages(images()), {"structure": "filter", "curvature": "loss"}, "so it needs labels"),
    ],
)
def test_data_that_do_not_fit_are_a_sentence(data: LabelledImages, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ChitaEdgeError) as caught:
        prune(network(), data, PruneConfig(sparsity=0.5, **config))
    assert reason in str(caught.value)
