from __future__ import annotations

import pytest
import torch
from torch import nn

from chita_edge import PruneConfig, prune
from chita_edge.datasets import LabelledImages
from chita_edge.network.batch import check_images
from chita_edge.network.capture import LayerCapture
from chita_edge.network.distance import Answers, divergence
from chita_edge.network.errors import CalibrationError
from chita_edge.network.inputs import SeveralInputs, call, described, example_of, single
from chita_edge.network.output_curvature import OutputCurvature
from chita_edge.network.output_kind import OutputKind

N = 12


class Tower(nn.Module):
    """Token ids and a vector of measurements to two answers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.mix, self.beside, self.head = (
            nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(5, 8), nn.Linear(8, 3),
        )  # fmt: skip

    def forward(self, ids: torch.Tensor, measured: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.mix(self.words(ids)).relu().mean(1) + self.beside(measured).relu()
        return {"classes": self.head(hidden), "size": hidden[:, :1]}


def batch(names: tuple[str, ...] | None = None) -> SeveralInputs:
    rng = torch.Generator().manual_seed(1)
    ids, measured = torch.randint(0, 9, (N, 6), generator=rng), torch.randn(N, 5, generator=rng)
    return SeveralInputs((measured, ids) if names == ("measured", "ids") else (ids, measured), names)


NAMED = batch(("measured", "ids"))


def test_inputs_are_cut_along_the_samples() -> None:
    several = batch()
    assert len(several) == N
    assert [len(part) for part in several.split(5)] == [5, 5, 2]
    chosen = several[torch.tensor([3, 3, 1])]
    assert torch.equal(chosen.tensors[0], several.tensors[0][[3, 3, 1]])
    assert described(several[:2]) == "2 samples of shape (6,) and (5,) and type torch.int64 and torch.float32"
    assert several.float().tensors[0].dtype == torch.int64


def test_names_decide_where_an_input_goes() -> None:
    net = Tower().eval()
    by_place, by_name = call(net, batch()), call(net, NAMED)
    assert torch.equal(by_place["classes"], by_name["classes"])
    assert list(example_of(NAMED)) == ["measured", "ids"]


def test_unequal_counts_are_a_sentence() -> None:
    with pytest.raises(CalibrationError, match=r"equally many samples.*\(4, 2\), \(3, 2\)"):
        SeveralInputs((torch.zeros(4, 2), torch.zeros(3, 2)))
    with pytest.raises(CalibrationError, match="networks of one input; this one has 2"):
        single(batch())


def test_each_input_is_checked() -> None:
    check_images(batch(), None)
    ids, measured = batch().tensors
    measured[7, 2] = torch.nan
    with pytest.raises(CalibrationError, match="sample 7 holds values that are not finite"):
        check_images(SeveralInputs((ids, measured)), None)


@pytest.mark.parametrize("inputs", [batch(), NAMED])
def test_gradients_of_several_outputs_equal_autograd_one_sample_at_a_time(inputs: SeveralInputs) -> None:
    net, loss = Tower().eval(), OutputCurvature(3, (OutputKind("values", scale=2.0), OutputKind("values", scale=0.5)))
    names = ("mix.weight", "beside.weight", "head.weight")
    calls = LayerCapture(net, names).read(inputs, torch.arange(N), loss)
    for name in names:
        found = sum(one.gradients(1) for one in calls[name])
        for i in range(N):
            net.zero_grad()
            loss(call(net, inputs[i : i + 1]), torch.tensor([i])).sum().backward()
            gradient = net.get_parameter(name).grad
            assert gradient is not None
            torch.testing.assert_close(found[i], gradient.flatten(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["chita_bso", "reconstruct", "magnitude"])
def test_a_network_of_several_inputs_is_pruned(method: str) -> None:
    net = Tower().eval()
    config = PruneConfig(method=method, sparsity=0.5, distill_epochs=1)
    result = prune(net, LabelledImages(NAMED), config)
    assert result.figures.sparsity == pytest.approx(0.5, abs=0.02)
    assert divergence(result.model, net, NAMED) < Answers.of(net, NAMED).divergence(_shuffled(net))


def _shuffled(net: nn.Module) -> nn.Module:
    other = Tower().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(-1)
    return other


def test_token_ids_alone_are_pruned() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)).eval()
    ids = torch.randint(0, 9, (N, 6))
    result = prune(net, LabelledImages(ids), PruneConfig(method="chita_bso", sparsity=0.5))
    assert list(result.masks) == ["1.weight", "4.weight"]
    assert result.figures.sparsity == pytest.approx(0.5, abs=0.02)
