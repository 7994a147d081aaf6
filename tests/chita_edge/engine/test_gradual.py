"""Pruning and distillation in turns, through `chita_edge.prune`."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from chita_edge import PruneConfig, prune
from chita_edge.datasets import LabelledImages
from chita_edge.network.objective import Objective
from chita_edge.shrinking import shrink
from chita_edge.tuning import divergence, recalibrate_batch_norm


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4),
    )  # fmt: skip
    recalibrate_batch_norm(net, calibration().images)
    return net.eval()


def calibration() -> LabelledImages:
    rng = torch.Generator().manual_seed(1)
    return LabelledImages(torch.randn(60, 1, 8, 8, generator=rng), torch.randint(0, 4, (60,), generator=rng))


def config(**options: object) -> PruneConfig:
    return PruneConfig(**{"sparsity": 0.7, "method": "magnitude", "distill_epochs": 4, **options})  # type: ignore[arg-type]


def test_a_distilled_network_is_closer_and_as_sparse() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    plain, tuned = (prune(net, calibration(), config(distill_epochs=epochs)) for epochs in (0, 6))
    images = calibration().images
    assert divergence(tuned.model, net, images, Objective()) < divergence(plain.model, net, images, Objective())
    assert tuned.masks.keys() == plain.masks.keys()
    for name, mask in tuned.masks.items():
        assert torch.equal(mask, plain.masks[name])
        assert not tuned.model.get_parameter(name).detach()[~mask].any()
    assert (tuned.figures.distilled_epochs, plain.figures.distilled_epochs) == (6, 0)
    (step,) = tuned.figures.distillation
    assert step.kept
    assert step.divergence_after == divergence(tuned.model, net, images, Objective())
    assert step.divergence_before == divergence(plain.model, net, images, Objective())
    assert "distill" in tuned.figures.seconds
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_gradual_steps_share_the_epochs_and_end_at_the_sparsity() -> None:
    told: list[tuple[str, int, int]] = []
    net = network()
    result = prune(
        net, calibration(), config(distill_epochs=7, gradual_steps=3, schedule="linear"),
        progress=lambda *said: told.append(said),
    )  # fmt: skip
    assert [step.epochs for step in result.figures.distillation] == [2, 2, 3]
    assert result.figures.distilled_epochs == sum(step.epochs for step in result.figures.distillation if step.kept)
    assert result.figures.sparsity == pytest.approx(0.7, abs=0.01)
    kept = sum(int(mask.sum()) for mask in result.masks.values())
    assert sum(int((result.model.get_parameter(name) != 0).sum()) for name in result.masks) <= kept
    starts = [total for stage, done, total in told if (stage, done) == ("distill", 0)]
    assert starts == [4, 4, 6]  # two steps of up to 50 images an epoch; 2, 2 and 3 epochs


def test_the_same_call_goes_on_from_the_last_checkpoint(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    options = config(gradual_steps=2, schedule="linear")
    stages = 0

    def killer(stage: str, done: int, total: int) -> None:
        nonlocal stages
        stages += (stage, done) == ("distill", 0)
        if stages == 2 and (stage, done) == ("distill", 3):
            raise KilledError

    with pytest.raises(KilledError):
        prune(network(), calibration(), options, state_dir=tmp_path / "state", progress=killer)
    told: list[tuple[str, int, int]] = []
    resumed = prune(
        network(), calibration(), options, state_dir=tmp_path / "state", progress=lambda *said: told.append(said)
    )
    whole = prune(network(), calibration(), options)
    assert [done for stage, done, _ in told if stage == "distill"] == [4, 2, 3, 4]
    state = whole.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in resumed.model.state_dict().items())


def test_a_network_that_did_not_learn_is_not_kept() -> None:
    net = network()
    options = {"distill_optimiser": "adam", "distill_rate": 10.0}
    plain, spoilt = (prune(net, calibration(), config(distill_epochs=epochs, **options)) for epochs in (0, 2))
    assert spoilt.figures.distilled_epochs == 0
    (step,) = spoilt.figures.distillation
    assert (step.kept, step.epochs) == (False, 2)
    assert not step.divergence_after < step.divergence_before
    assert "was not kept; a smaller learning rate" in step.reason
    assert plain.figures.distillation == ()
    state = plain.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in spoilt.model.state_dict().items())


def test_the_distillation_can_be_adam() -> None:
    adam, sgd = (prune(network(), calibration(), config(distill_optimiser=name)) for name in ("adam", "sgd"))
    assert not torch.equal(adam.model[0].weight, sgd.model[0].weight)
    assert sgd.figures.distilled_epochs == 4


@pytest.mark.parametrize("structure", ["filter", "channel"])
def test_channels_that_are_gone_stay_gone(structure: str) -> None:
    net, images = network(), calibration().images
    plain, tuned = (
        prune(net, calibration(), config(structure=structure, sparsity=0.4, distill_epochs=epochs)) for epochs in (0, 2)
    )
    assert tuned.figures.distilled_epochs == 2
    smaller = [shrink(result.model, images[:1]) for result in (plain, tuned)]
    sizes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in smaller]
    assert sizes[0] == sizes[1]
    assert sizes[0]["3.weight"].numel() < 64
    with torch.no_grad():
        torch.testing.assert_close(smaller[1](images), tuned.model(images))
