from __future__ import annotations

import copy
import json
from dataclasses import replace

import pydantic
import pytest
import torch
from torch import nn

from chita_edge.calibration import GradientMatrix, NonFiniteCalibrationError
from chita_edge.datasets import LabelledImages
from chita_edge.engine.api import calibration_gradients, prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.gradients import round_gradients
from chita_edge.engine.methods import METHODS, curvature_kind, gradient_views
from chita_edge.engine.plan import resolve
from chita_edge.errors import ChitaEdgeError, UsageError
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.network.macs import multiplications
from chita_edge.network.objective import Objective
from chita_edge.network.targets import pointwise_and_linear
from chita_edge.pruning import Constraint, get_pattern
from chita_edge.tuning import divergence, recalibrate_batch_norm
from chita_edge.tuning.views import Augmentation


def network() -> nn.Module:
    torch.manual_seed(0)
    net = MobileNetV1(width=0.25, num_classes=10, in_channels=1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return net


def calibration() -> LabelledImages:
    rng = torch.Generator().manual_seed(1)
    return LabelledImages(torch.randn(12, 1, 32, 32, generator=rng), torch.randint(0, 10, (12,), generator=rng))


@pytest.mark.parametrize("method", list(METHODS))
def test_prunes_a_copy_to_the_sparsity(method: str) -> None:
    net, data = network(), calibration()
    before = copy.deepcopy(net.state_dict())
    config = PruneConfig(sparsity=0.7, method=method, rounds=min(METHODS[method].rounds, 2))
    # The first layers hold a sixth of the weights: some baselines take a second for every few thousand.
    result = prune(net, data, config, prunable=tuple(pointwise_and_linear(net))[:7])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    parameters = dict(result.model.named_parameters())
    kept = total = 0
    for name, mask in result.masks.items():
        assert not parameters[name].detach()[~mask].any()
        kept, total = kept + int(mask.sum()), total + mask.numel()
    assert kept == round(total * 0.3)
    assert result.figures.sparsity == pytest.approx(0.7, abs=1e-4)
    assert [layer.nnz for layer in result.figures.layers] == [int(mask.sum()) for mask in result.masks.values()]
    assert not result.model.training
    untouched = set(before) - set(result.masks)
    weights = {name for name in untouched if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert all(torch.equal(parameters[name], before[name]) for name in weights)
    assert json.loads(json.dumps(result.figures.to_json()))["method"] == method


def test_same_seed_same_network() -> None:
    first, second = (prune(network(), calibration()).model.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_stages_take_gradients_anew_and_reach_the_sparsity() -> None:
    seen: list[str] = []
    config = PruneConfig(sparsity=0.8, method="chita_bso", rounds=3, schedule="linear", gradient_samples=5)
    result = prune(network(), calibration(), config, progress=lambda stage, done, _: seen.append(stage * (not done)))
    assert [stage for stage in seen if stage] == ["gradients", "solve", "solve"] * 3 + ["batch norm"]
    assert result.figures.sparsity == pytest.approx(0.8, abs=1e-4)


def test_the_ridge_whose_network_is_closest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4),
    )  # fmt: skip
    data = LabelledImages(torch.randn(12, 1, 8, 8), torch.randint(0, 4, (12,)))
    recalibrate_batch_norm(net, data.images)
    net.eval()
    config = PruneConfig(method="chita_bso", sparsity=0.7, recalibration_views=0)
    chosen = prune(net, data, config)
    each = []
    for factor in METHODS["chita_bso"].ridges:
        monkeypatch.setitem(METHODS, "chita_bso", replace(METHODS["chita_bso"], ridges=(factor,)))
        each.append(prune(net, data, config))
    distances = [divergence(result.model, net, data.images) for result in each]
    assert divergence(chosen.model, net, data.images) == pytest.approx(min(distances))
    # Another ridge is another network.
    assert max(distances) > 1.05 * min(distances)
    assert set(chosen.figures.seconds) > {"gradients", "solve", "choice of ridge"}


def test_curvature_is_the_methods_own_unless_named() -> None:
    net, data, names = network(), calibration(), pointwise_and_linear(network())
    relabelled = LabelledImages(data.images, (data.labels + 1) % 10)
    for options, ignored in (({}, True), ({"curvature": "loss"}, False), ({"first_order": True}, False)):
        config = PruneConfig.model_validate({"method": "chita_bso", **options})
        first, second = (calibration_gradients(net, images, names, config).blocks for images in (data, relabelled))
        assert all(torch.equal(first[name], second[name]) for name in names) == ignored
    with pytest.raises(UsageError, match="first-order term is that of the loss"):
        prune(net, data, PruneConfig(method="chita_bso", curvature="logits", first_order=True))


def test_baselines_are_given_the_gradients_and_the_views_of_chita_bso() -> None:
    for method in ("obd", "obs", "woodfisher", "mfac", "cbs"):
        config = PruneConfig(method=method)
        assert (curvature_kind(config), gradient_views(config)) == ("logits", METHODS["chita_bso"].gradient_views)


def test_rows_are_means_over_the_views_of_an_image() -> None:
    net, data, names = network(), calibration(), pointwise_and_linear(network())
    config = PruneConfig(method="chita_bso", gradient_views=1)
    views = Augmentation(max_shift=0.2)

    def rows(count: int, images: LabelledImages) -> GradientMatrix:
        wanted = config.model_copy(update={"gradient_views": count})
        plan = resolve(wanted, net, names)
        return round_gradients(net, images, plan, 0, objective=Objective(), augmentation=views)

    doubled = LabelledImages(data.images.repeat_interleave(2, 0), data.labels.repeat_interleave(2))
    single, double = rows(1, doubled).blocks, rows(2, data).blocks
    for name in names:
        torch.testing.assert_close(
            double[name], single[name].view(len(single[name]), -1, 2).mean(2), rtol=1e-4, atol=1e-6
        )


def test_given_gradients_are_used() -> None:
    net, data, config = network(), calibration(), PruneConfig(method="chita_bso")
    gradients = calibration_gradients(net, data, pointwise_and_linear(net), config)
    given = prune(net, data, config, gradients=gradients)
    computed = prune(net, data, config)
    assert all(torch.equal(mask, computed.masks[name]) for name, mask in given.masks.items())


@pytest.mark.parametrize(("structure", "asked", "equalised"), [("2:4", None, 1), ("1x4", False, 0), ("2:4", True, 1)])
def test_channels_are_equalised_for_patterns_unless_told_otherwise(
    structure: str, asked: bool | None, equalised: int
) -> None:
    config = PruneConfig(sparsity=0.5, structure=structure, equalise=asked, method="magnitude")
    told = prune(network(), calibration(), config).figures.rewritten
    assert len([phrase for phrase in told if phrase.endswith("equalised")]) == equalised


def test_unstructured_weights_are_equalised_on_demand_only() -> None:
    config = PruneConfig(sparsity=0.5, method="magnitude")
    net, data = network(), calibration()
    assert not prune(net, data, config).figures.rewritten
    assert prune(net, data, config.model_copy(update={"equalise": True})).figures.rewritten


def test_given_gradients_and_equalised_channels_exclude_each_other() -> None:
    net, data, config = network(), calibration(), PruneConfig(method="chita_bso", equalise=True)
    gradients = calibration_gradients(net, data, pointwise_and_linear(net), config)
    with pytest.raises(UsageError, match="leave out equalise, or the gradients"):
        prune(net, data, config, gradients=gradients)


@pytest.mark.parametrize("structure", ["2:4", "1x4"])
def test_default_method_keeps_the_structure(structure: str) -> None:
    result = prune(network(), calibration(), PruneConfig(sparsity=0.6, structure=structure))
    for mask in result.masks.values():
        again = Constraint(get_pattern(structure), (mask.shape,), int(mask.sum())).project(mask.float().flatten())
        assert torch.equal(again.view(mask.shape), mask)


def test_uniform_allocation_and_chosen_weights() -> None:
    names = ("features.0.0.weight", "classifier.1.weight")
    result = prune(network(), calibration(), PruneConfig(sparsity=0.5, allocation="uniform"), prunable=names)
    assert [layer.sparsity for layer in result.figures.layers] == [0.5, 0.5]
    assert tuple(result.masks) == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "luck"}, "no pruning method 'luck'"),
        ({"structure": "round"}, "no sparsity pattern 'round'"),
        ({"allocation": "fair"}, "no allocation 'fair'"),
        ({"schedule": "steep"}, "no schedule 'steep'"),
        ({"sparsity": 0.99999999}, "leaves none"),
        ({"allocation": "latency"}, "needs a cost table: the option cost_table"),
        ({"cost_sparsity": 0.5}, "cost_sparsity is for the allocation flops or latency; this one is global"),
        ({"structure": "filter", "cost_table": {"a": ((1.0, 1.0),)}}, "cost_table is for the allocation latency"),
        ({"samples_per_row": 13}, "12 calibration images do not fill one row of 13 samples"),
    ],
)
def test_wrong_names_are_sentences(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prune(network(), calibration(), PruneConfig.model_validate(options))


@pytest.mark.parametrize("options", [{"sparsity": 1.0}, {"sparsity": -0.1}, {"sparsity": float("nan")}, {"speed": 1}])
def test_config_refuses(options: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        PruneConfig.model_validate(options)


def test_non_finite_weights_are_a_sentence() -> None:
    net = network()
    with torch.no_grad():
        next(net.parameters())[0, 0, 0, 0] = torch.inf
    with pytest.raises(NonFiniteCalibrationError, match=r"features\.0\.0\.weight holds inf"):
        prune(net, calibration())


def test_nothing_to_prune_is_a_sentence() -> None:
    with pytest.raises(ChitaEdgeError, match="no layer to prune"):
        prune(network(), calibration(), prunable=())


def test_interruption_leaves_the_network_as_it_was() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "solve":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(net, calibration(), progress=interrupt)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_budgets_of_multiplications_and_of_a_cost_table() -> None:
    net, data = network(), calibration()
    names = pointwise_and_linear(net)
    macs = multiplications(net.eval(), names, data.images[:1])
    options = PruneConfig(
        method="magnitude", sparsity=0.5, allocation="flops", cost_sparsity=0.8, recalibration_views=0
    )
    masks = prune(net, data, options).masks
    assert sum(macs[name] * float(mask.float().mean()) for name, mask in masks.items()) <= 0.2 * sum(macs.values())
    table = {name: ((0.0, 0.0), (1.0, float(count))) for name, count in macs.items()}
    other = prune(net, data, options.model_copy(update={"allocation": "latency", "cost_table": table})).masks
    assert all(torch.equal(mask, other[name]) for name, mask in masks.items())
    with pytest.raises(UsageError, match="name exactly the prunable weights"):
        prune(net, data, options.model_copy(update={"allocation": "latency", "cost_table": {"fc": ((1.0, 1.0),)}}))
