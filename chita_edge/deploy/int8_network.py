"""From a trained network to one of integers: compressed at a given sparsity, or at the one that a choice finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from chita_edge.deploy.candidates import SPARSITIES, Candidate, choose, drop_of, worthwhile
from chita_edge.deploy.int8_costs import Int8Costs
from chita_edge.deploy.int8_told import Told
from chita_edge.deploy.judge import Judge
from chita_edge.engine.result import found_sentences
from chita_edge.network.inputs import single
from chita_edge.pruning.journal import FORGETFUL, Journal
from chita_edge.quantization import CompressionConfig, Plan, QuantisedNetwork, UnsupportedNetworkError, compress_plan
from chita_edge.quantization import prepare as prepare_plan
from chita_edge.quantization.distance import tempered_divergence
from chita_edge.quantization.distill import DistillConfig, distill_through_rounding
from chita_edge.quantization.float_parts import integer_share, listed
from chita_edge.quantization.plan import layer_constraints
from chita_edge.quantization.stored import network_from, network_tensors
from chita_edge.tuning import infer_training_augmentation
from chita_edge.tuning.views import darkest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chita_edge.config import PruneFileConfig
    from chita_edge.datasets import LabelledImages
    from chita_edge.deploy.road import Road
    from chita_edge.progress import Progress

_RATE = 1e-3
_ROWS, _ROWS_AN_IMAGE = 1 << 14, 64
"""Positions that layers are fitted on: those of one image are much alike."""
# A draft costs a fifth of the network and is a little less accurate.
_DRAFT_IMAGES, _DRAFT_ROWS, _DRAFT_ROUNDS = 400, 1 << 13, 2
_DRAFT_LOSS = 0.3
"""Points that a draft may be below what is asked for."""
_LEAST_SHARE = 0.5
"""Of a network's multiplications, that integers have to do where int8 was not asked for."""


class Made(Protocol):
    """Makes the network of a structure and a sparsity."""

    def __call__(self, structure: str, sparsity: float, *, draft: bool = False) -> QuantisedNetwork:
        """The network, or a draft of it on fewer images."""


@dataclass(frozen=True)
class Int8Network:
    """An int8 network and how it came about.

    Attributes:
        network: the integers.
        structure: of the zeros.
        prunable: names of the layers that may lose weights.
        candidates: those that were looked at; none where the sparsity was given.
        remarks: sentences about it.
        told: how far its outputs are from the dense network's, and what stays dense.
    """

    network: QuantisedNetwork
    structure: str
    prunable: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    remarks: tuple[str, ...] = ()
    told: Told | None = None

    def sentences(self) -> tuple[str, ...]:
        """All that is told of it."""
        found = () if self.told is None else found_sentences(self.told.compared, self.told.dense)
        return (*found, *self.remarks)

    @property
    def sparsity(self) -> float:
        """Share of zeros that pruning put among the prunable weights."""
        masks = [self.network.layers[name].mask for name in self.prunable]
        return 1 - sum(int(mask.sum()) for mask in masks) / max(1, sum(mask.numel() for mask in masks))


def make_int8(
    model: nn.Module,
    images: torch.Tensor,
    held_out: LabelledImages | None,
    config: PruneFileConfig,
    road: Road,
    costs: Int8Costs | None,
    *,
    prunable: Sequence[str],
    journal: Journal = FORGETFUL,
    progress: Progress,
) -> Int8Network:
    """Prune and round a network together; without a sparsity, try candidates and take the fastest within the drop.

    Args:
        model: trained.
        images: to calibrate on, float32 (n, …); labels are not used.
        held_out: images that nothing is fitted on, with labels where there are any; needed where candidates are tried.
        config: options.
        road: structure and sparsity.
        costs: of the target, for the candidates.
        prunable: names of weights.
        journal: keeps the plan's curves and each compressed network.
        progress: told of every stage.

    Raises:
        QuantizationError: the network, or its values, have no integer form.
    """
    if not isinstance(images, torch.Tensor) or not images.is_floating_point():
        raise UnsupportedNetworkError("An int8 network has one input of real numbers. Use --dtype float32.")
    base = CompressionConfig(
        sparsity=road.sparsity or 0.0,
        structure=road.structure,
        weight_bits=config.quantize.weight_bits,
        activation_range=config.quantize.activation_range,
        rows=min(_ROWS, _ROWS_AN_IMAGE * len(images)),
        seed=config.prune.seed,
    )
    progress("sensitivities", 0, 1)
    plan = prepare_plan(
        model, images, base, _may_lose(model, prunable), structures=road.tried, journal=journal,
        least_share=0.0 if road.is_asked else _LEAST_SHARE,
    )  # fmt: skip
    progress("sensitivities", 1, 1)

    def made(structure: str, sparsity: float, *, draft: bool = False) -> QuantisedNetwork:
        config_of = replace(base, structure=structure, sparsity=sparsity)
        some, called = images, f"int8, {structure}, {sparsity:.0%} zeros"
        if draft:
            some, called = images[:_DRAFT_IMAGES], f"{called}, draft"
            config_of = replace(config_of, rows=min(base.rows, _DRAFT_ROWS), activation_rounds=_DRAFT_ROUNDS)
        told = partial(_named, progress, called)

        def compute() -> dict[str, torch.Tensor]:
            network = compress_plan(plan, some, config_of, progress=told).network
            assert network is not None  # noqa: S101 (of dtype int8)
            return network_tensors(network)

        return network_from(plan.graph, journal.remember(called, compute))

    if road.sparsity is not None:
        found = Int8Network(made(road.structure, road.sparsity), road.structure, plan.prunable)
    else:
        assert held_out is not None and costs is not None  # noqa: S101 (the caller has them)
        judge = Judge.of(model, held_out, metric=config.metric, better=config.better)
        found = _chosen(plan, made, judge, base, costs, config.quantize.max_drop, model)
    if plan.graph.floats:
        found = replace(found, remarks=(_floats_told(plan, images), *found.remarks))
    if config.prune.distill_epochs:
        found = _distilled(found, model, images, config, journal, progress)
    return found


def _chosen(
    plan: Plan,
    made: Made,
    judge: Judge,
    base: CompressionConfig,
    costs: Int8Costs,
    max_drop: float,
    model: nn.Module,
) -> Int8Network:
    """The network of the chosen candidate: drafts tell which it is, and the one that is made is judged again.

    Where it drops further than its draft promised, the next slower one is made.
    """
    image = single(judge.samples.images[:1])
    dense = judge.network(model)

    def judged(network: QuantisedNetwork) -> tuple[float, float]:
        figure = judge.network(network)
        return figure, drop_of(judge.metric, dense, figure)

    candidates = _candidates(plan, base, costs, image)
    limit = max_drop + _DRAFT_LOSS
    tried = list(choose(candidates, lambda one: judged(made(one.structure, one.sparsity, draft=True)), limit))
    start = next(number for number, one in enumerate(tried) if one.chosen)
    for number in range(start, len(tried)):
        network = made(tried[number].structure, tried[number].sparsity)
        metric, drop = judged(network)
        good = drop <= max_drop or number + 1 == len(tried)
        tried[number] = replace(tried[number], metric=metric, drop=drop, chosen=good)
        if good:
            break
    remarks: tuple[str, ...] = ()
    if drop > max_drop:
        remarks = (
            f"No candidate stays within {max_drop:g} of the dense network; the closest is taken. More calibration "
            "images, --distill or --dtype float32 may help.",
        )
    structure = next(one.structure for one in tried if one.chosen)
    return Int8Network(network, structure, plan.prunable, tuple(tried), remarks)


def _candidates(plan: Plan, base: CompressionConfig, costs: Int8Costs, image: torch.Tensor) -> list[Candidate]:
    """Those that are worth a draft: of each structure and sparsity the costs and the curves say which."""
    found = []
    for structure in plan.curves:
        for sparsity in SPARSITIES:
            constraints = layer_constraints(plan, replace(base, structure=structure, sparsity=sparsity))
            kept = {name: constraint.total for name, constraint in constraints.items()}
            predicted = costs.network(plan.graph, image, kept, structure)
            loss = plan.expected_loss(structure, kept)
            found.append((Candidate(structure, sparsity, predicted, costs.unit), loss))
    return worthwhile(found)


def _distilled(
    found: Int8Network,
    model: nn.Module,
    images: torch.Tensor,
    config: PruneFileConfig,
    journal: Journal,
    progress: Progress,
) -> Int8Network:
    """The network after training through the rounding, if it is closer to the dense one then."""
    prune = config.prune
    how = DistillConfig(
        prune.distill_epochs,
        prune.distill_rate or _RATE,
        bits=config.quantize.weight_bits,
        seed=prune.seed,
        seconds=prune.distill_seconds,
    )
    known = infer_training_augmentation(model, images, seed=prune.seed)
    dark = darkest(images)

    def views(batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        seen = known.views(batch, rng, dark)
        assert isinstance(seen, torch.Tensor)  # noqa: S101 (of a tensor)
        return seen

    def compute() -> dict[str, torch.Tensor]:
        made = distill_through_rounding(found.network, model, images, how, views=views, progress=progress)
        return network_tensors(made)

    tuned = network_from(found.network.graph, journal.remember("distilled", compute))
    with torch.inference_mode():
        dense = torch.cat([model(batch) for batch in torch.split(images, 100)])
    before, after = (tempered_divergence(network(images), dense) for network in (found.network, tuned))
    kept = after < before
    verdict = "was kept" if kept else "was not kept"
    remark = (
        f"Distillation through the rounding {verdict}: the divergence from the dense network went from {before:.4g} to "
        f"{after:.4g}."
    )
    return replace(found, network=tuned if kept else found.network, remarks=(*found.remarks, remark))


def _floats_told(plan: Plan, images: torch.Tensor) -> str:
    share, count = integer_share(plan.graph, images[:1]), len(plan.graph.floats)
    parts = "1 part of the network stays" if count == 1 else f"{count} parts of the network stay"
    return f"{parts} float32, {1 - share:.0%} of its multiplications: {listed(plan.graph.floats)}."


def _may_lose(model: nn.Module, prunable: Sequence[str]) -> list[str]:
    """The weights of layers without groups among the prunable ones."""
    names = [name.removesuffix(".weight") for name in prunable]
    known = {name: one for name, one in model.named_modules() if isinstance(one, nn.Conv1d | nn.Conv2d | nn.Linear)}
    return [name for name in names if name in known and getattr(known[name], "groups", 1) == 1]


def _named(progress: Progress, phase: str, _stage: str, done: int, total: int) -> None:
    progress(phase, done, total)
