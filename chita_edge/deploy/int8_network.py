"""From a trained network to one of integers: compressed at a given sparsity, or at the one that a choice finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from chita_edge.deploy.candidates import Candidate
from chita_edge.deploy.choice import Alternative, Search
from chita_edge.deploy.float32_costs import float32_cost
from chita_edge.deploy.int8_costs import Int8Costs
from chita_edge.deploy.int8_told import Told
from chita_edge.deploy.judge import Judge
from chita_edge.engine.result import found_sentences
from chita_edge.network.inputs import Batch, batch_of, call, input_tensors
from chita_edge.pruning.journal import FORGETFUL, Journal, Prefixed
from chita_edge.quantization import CompressionConfig, Plan, QuantisedNetwork, UnsupportedNetworkError, compress_plan
from chita_edge.quantization import prepare as prepare_plan
from chita_edge.quantization.distance import tempered_divergence
from chita_edge.quantization.distill import DistillConfig, distill_through_rounding
from chita_edge.quantization.float_parts import integer_share, listed
from chita_edge.quantization.plan import layer_constraints
from chita_edge.quantization.stored import network_from, network_tensors
from chita_edge.tuning.distillation_views import distillation_views
from runtimes.int8_costs import load_int8_rates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chita_edge.config import PruneFileConfig
    from chita_edge.datasets import LabelledImages
    from chita_edge.deploy.road import Road
    from chita_edge.progress import Progress
    from chita_edge.pruning import Constraint
    from chita_edge.quantization import Graph
    from runtimes import Target

_RATE = 1e-3
_ROWS, _ROWS_AN_IMAGE = 1 << 14, 64
"""Positions that layers are fitted on: those of one image are much alike."""
# A draft costs a fifth of the network and is a little less accurate.
_DRAFT_IMAGES, _DRAFT_ROWS, _DRAFT_ROUNDS = 400, 1 << 13, 2
_LEAST_SHARE = 0.5
"""Of a network's multiplications, that integers have to do where int8 was not asked for."""


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


@dataclass(frozen=True)
class Float32Chosen:
    """No int8 network is as good as one of float32, which is still to be made.

    Attributes:
        candidates: those that were looked at; the chosen one says its structure and sparsity.
        remarks: sentences about the choice.
    """

    candidates: tuple[Candidate, ...]
    remarks: tuple[str, ...] = ()

    @property
    def chosen(self) -> Candidate:
        """The one to make."""
        return next(one for one in self.candidates if one.chosen)


def make_int8(
    model: nn.Module,
    images: Batch,
    held_out: LabelledImages | None,
    config: PruneFileConfig,
    road: Road,
    target: Target | None,
    *,
    prunable: Sequence[str],
    journal: Journal = FORGETFUL,
    progress: Progress,
) -> Int8Network | Float32Chosen:
    """Prune and round a network together; without a sparsity, try candidates and take the fastest within the drop.

    Args:
        model: trained.
        images: to calibrate on, float32 (n, …); labels are not used.
        held_out: images that nothing is fitted on, with labels where there are any; needed where candidates are tried.
        config: options.
        road: structure and sparsity.
        target: whose costs decide among candidates.
        prunable: names of weights.
        journal: keeps the plan's curves and each compressed network.
        progress: told of every stage.

    Raises:
        QuantizationError: the network, or its values, have no integer form.
    """
    if not any(one.is_floating_point() for one in input_tensors(images)):
        raise UnsupportedNetworkError("An int8 network has an input of real numbers. Use --dtype float32.")
    base = CompressionConfig(
        sparsity=road.sparsity or 0.0,
        structure=road.structure,
        weight_bits=config.quantize.weight_bits,
        mean_bits=config.quantize.mean_bits,
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

    def made(constraints: Mapping[str, Constraint], called: str, *, draft: bool = False) -> QuantisedNetwork:
        some, config_of = images, base
        if draft:
            some, called = images[:_DRAFT_IMAGES], f"{called}, draft"
            config_of = replace(config_of, rows=min(base.rows, _DRAFT_ROWS), activation_rounds=_DRAFT_ROUNDS)
        told = partial(_named, progress, called)

        def compute() -> dict[str, torch.Tensor]:
            network = compress_plan(plan, some, config_of, constraints=constraints, progress=told).network
            assert network is not None  # noqa: S101 (of dtype int8)
            return network_tensors(network)

        return network_from(plan.graph, journal.remember(called, compute))

    if road.sparsity is not None:
        called = f"int8, {road.structure}, {road.sparsity:.0%} zeros"
        found = Int8Network(made(layer_constraints(plan, base), called), road.structure, plan.prunable)
    else:
        assert held_out is not None and target is not None  # noqa: S101 (the caller has them)
        judge = Judge.of(model, held_out, metric=config.metric, better=config.better)
        costs = Int8Costs(load_int8_rates(target.name))
        other = None
        if road.structures and not road.is_asked:
            other = _alternative(plan, model, images, base, target, costs, config.prune.sparsity, journal)
        per_layer = costs.network(plan.graph, images[:1], plan.prunable, road.tried)
        choice = Search(plan, per_layer, costs.unit, judge, model, config.quantize.max_drop, made, other).run()
        if choice.network is None:
            return Float32Chosen(choice.candidates, choice.remarks)
        found = Int8Network(choice.network, choice.structure, plan.prunable, choice.candidates, choice.remarks)
    if base.mean_bits is not None:
        found = replace(found, remarks=(_bits_told(found, base), *found.remarks))
    if plan.graph.floats:
        found = replace(found, remarks=(_floats_told(plan, images), *found.remarks))
    if config.prune.distill_epochs:
        found = _distilled(found, model, images, config, journal, progress)
    return found


def _alternative(
    plan: Plan,
    model: nn.Module,
    images: Batch,
    base: CompressionConfig,
    target: Target,
    costs: Int8Costs,
    sparsity: float,
    journal: Journal,
) -> Alternative:
    """The float32 network that is made where int8 is not accurate enough: unstructured, of the default sparsity."""
    cost = float32_cost(target, costs, plan.graph, images[:1], plan.prunable, sparsity)
    candidate = Candidate("unstructured", sparsity, cost, target.table.unit, dtype="float32")
    config = replace(base, dtype="float32", structure="unstructured", sparsity=sparsity)

    def draft() -> nn.Module:
        own = prepare_plan(model, images, config, plan.prunable, journal=Prefixed(journal, "float32, "))
        some = images[:_DRAFT_IMAGES]
        config_of = replace(config, rows=min(base.rows, _DRAFT_ROWS), activation_rounds=_DRAFT_ROUNDS)
        return _GraphModule(compress_plan(own, some, config_of).graph)

    return Alternative(candidate, draft)


def _bits_told(found: Int8Network, config: CompressionConfig) -> str:
    """Which layers keep eight bits."""
    layers = {name: found.network.layers[name] for name in found.prunable}
    kept = {name: int(layer.mask.sum()) for name, layer in layers.items()}
    mean = sum(kept[name] * layer.bits for name, layer in layers.items()) / max(1, sum(kept.values()))
    whole = ", ".join(name for name, layer in layers.items() if layer.bits > config.weight_bits) or "none"
    return (
        f"The weights of prunable layers have {mean:.2g} bits on average, {config.weight_bits} or 8; 8 have: {whole}. "
        "The other layers have 8."
    )


class _GraphModule(nn.Module):
    """A graph of floating point as a module."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, *given: Batch, **named: torch.Tensor) -> torch.Tensor:
        return self.graph(batch_of(given, named))


def _distilled(
    found: Int8Network,
    model: nn.Module,
    images: Batch,
    config: PruneFileConfig,
    journal: Journal,
    progress: Progress,
) -> Int8Network:
    """The network after training through the rounding, if it is closer to the dense one then."""
    prune = config.prune
    how = DistillConfig(
        prune.distill_epochs,
        prune.distill_rate or _RATE,
        seed=prune.seed,
        seconds=prune.distill_seconds,
    )
    views = distillation_views(model, images, seed=prune.seed)

    def compute() -> dict[str, torch.Tensor]:
        made = distill_through_rounding(found.network, model, images, how, views=views, progress=progress)
        return network_tensors(made)

    tuned = network_from(found.network.graph, journal.remember("distilled", compute))
    with torch.inference_mode():
        dense = torch.cat([call(model, batch) for batch in images.split(100)])
    before, after = (tempered_divergence(network(images), dense) for network in (found.network, tuned))
    kept = after < before
    verdict = "was kept" if kept else "was not kept"
    remark = (
        f"Distillation through the rounding {verdict}: the divergence from the dense network went from {before:.4g} to "
        f"{after:.4g}."
    )
    return replace(found, network=tuned if kept else found.network, remarks=(*found.remarks, remark))


def _floats_told(plan: Plan, images: Batch) -> str:
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
