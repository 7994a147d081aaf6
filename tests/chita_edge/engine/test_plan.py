from __future__ import annotations

import pytest
import torch
from resumable_pruning import NAMES, calibration, network

from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.methods import METHODS
from chita_edge.engine.plan import resolve
from chita_edge.errors import ChitaEdgeError


def test_nothing_is_left_open() -> None:
    plan = resolve(PruneConfig(), network())
    assert plan.names == ("3.weight", "7.weight")
    assert plan.solver.name == METHODS["default"].solver
    assert plan.sparsities == (0.8,)
    assert plan.ridges == (1.0,)
    assert (plan.curvature, plan.gradient_views) == ("outputs", 1)
    assert plan.side is None
    staged = resolve(PruneConfig(method="chita_pp", ridge=2.0, sparsity=0.9, gradient_views=3), network(), NAMES)
    assert staged.names == NAMES
    assert len(staged.sparsities) == 4
    assert staged.sparsities[-1] == 0.9
    assert staged.ridges == (0.06, 2.0)
    assert (staged.curvature, staged.gradient_views) == ("logits", 3)


def test_a_step_of_gradual_pruning_is_the_same_plan_at_another_sparsity() -> None:
    plan = resolve(PruneConfig(method="chita_pp", sparsity=0.9, distill_epochs=4, gradual_steps=2), network())
    step = plan.at(0.4)
    assert step.sparsities == (0.4,)
    assert (step.config.sparsity, step.config.distill_epochs, step.config.gradual_steps) == (0.4, 0, 1)
    assert step.solver == plan.solver


@pytest.mark.parametrize(
    ("method", "gradients"),
    [("magnitude", False), ("reconstruct", False), ("chita_bso", True), ("default", True), ("chita", True)],
)
def test_labels_are_needed_for_a_loss_that_is_asked_for_alone(method: str, gradients: bool) -> None:
    plan = resolve(PruneConfig(method=method), network())
    assert (plan.needs_gradients, plan.needs_labels) == (gradients, False)
    assert resolve(PruneConfig(method=method, loss="cross_entropy"), network()).needs_labels == gradients
    assert resolve(PruneConfig(method=method, curvature="loss"), network()).needs_labels == gradients
    channels = PruneConfig(method=method, structure="filter")
    assert not resolve(channels, network()).needs_labels
    assert resolve(channels.model_copy(update={"loss": "mse"}), network()).needs_labels


@pytest.mark.parametrize("method", ["magnitude", "reconstruct"])
def test_a_method_without_gradients_takes_none(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def differentiated(*args: object, **options: object) -> object:
        raise AssertionError("no loss is to be differentiated")

    monkeypatch.setattr(torch.autograd, "grad", differentiated)
    monkeypatch.setattr(torch.Tensor, "backward", differentiated)
    monkeypatch.setattr("chita_edge.engine.run.round_gradients", differentiated)
    figures = prune(network(), calibration(), PruneConfig(method=method), prunable=NAMES).figures
    assert figures.objective is None, "what was not computed is not reported"
    assert figures.trace == ()
    assert figures.sparsity == pytest.approx(0.8, abs=1e-3)
    assert figures.to_json()["objective"] is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "no"}, "no pruning method 'no'"),
        ({"structure": "no"}, "no sparsity pattern 'no'"),
        ({"allocation": "latency"}, "needs a cost table"),
        ({"cost_sparsity": 0.5}, "The option cost_sparsity is for the allocation flops or latency"),
        ({"allocation": "latency", "cost_table": {"0.weight": [(0.0, 0.0), (1.0, 1.0)]}}, "differs by"),
        ({"first_order": True, "curvature": "logits"}, "first-order term is that of the loss"),
    ],
)
def test_conflicts_are_sentences(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ChitaEdgeError, match=sentence):
        resolve(PruneConfig.model_validate(options), network())
