"""`resolve`: from a configuration and a network to a plan, in which nothing is left to be looked up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from chita_edge.engine.config import PruneConfig
from chita_edge.engine.methods import Curvature, Method, curvature_kind, get_method, gradient_views, round_count
from chita_edge.errors import UsageError
from chita_edge.network.selection import KeptDense, Selection, named_sparsities, select
from chita_edge.network.targets import layer_weights, pointwise_and_linear
from chita_edge.network.weights import Weight, find_weights
from chita_edge.pruning import PruningError, get_allocation, get_pattern, get_solver
from chita_edge.pruning.patterns import Unstructured
from chita_edge.pruning.schedules import round_sparsities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from chita_edge.network.inputs import Batch
    from chita_edge.pruning import Pattern, Solver
    from chita_edge.pruning.allocation.registry import Allocation
    from chita_edge.shrinking import Side

CHANNEL_STRUCTURES = ("filter", "channel")
_FREE = ("unstructured", "1x4", "2x4")
_TOLD = 5


@dataclass(frozen=True)
class PruningPlan:
    """How one network is pruned: a configuration whose names are looked up and whose defaults are filled in.

    Attributes:
        config: the configuration it comes from; what is None there is decided here.
        names: the weights to prune, as ``named_parameters`` has them.
        method: which solver, and what follows it.
        solver: chooses the weights.
        pattern: of the masks; None where whole channels go.
        side: whose sensitivity decides which channels go; None for the other structures.
        allocation: how the budget is shared among layers.
        sparsities: of each round of gradients and choice, rising to the last.
        ridges: λ of the solutions among which each round chooses, in units of the mean curvature.
        curvature: what the gradients are of: the loss, or random projections of the network's answers.
        gradient_views: views of an image whose gradients are averaged.
        dense: the network's other weights, and why they stay dense.
        fixed: sparsity of the weights that have one of their own.
        denser: the weight of a classifier's head, which gets half of the sparsity; None where there is none.
    """

    config: PruneConfig
    names: tuple[str, ...]
    method: Method
    solver: Solver
    pattern: Pattern | None
    side: Side | None
    allocation: Allocation
    sparsities: tuple[float, ...]
    ridges: tuple[float, ...]
    curvature: Curvature
    gradient_views: int
    dense: tuple[KeptDense, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)
    denser: str | None = None

    @property
    def equalises(self) -> bool:
        """Whether channels are scaled to one size first: weights of blocks and N:M compete with their neighbours."""
        asked = self.config.equalise
        return self.pattern is not None and not isinstance(self.pattern, Unstructured) if asked is None else asked

    @property
    def needs_gradients(self) -> bool:
        """Whether a round takes gradients; without them there is no objective to report."""
        return self.solver.needs_gradients or self.side is not None

    @property
    def needs_labels(self) -> bool:
        """Whether the gradients are those of a loss."""
        return self.needs_gradients and self.curvature == "loss"

    def at(self, sparsity: float) -> PruningPlan:
        """Plan of one step of gradual pruning: this plan at another sparsity, without distillation."""
        config = self.config.model_copy(update={"sparsity": sparsity, "distill_epochs": 0, "gradual_steps": 1})
        return replace(self, config=config, sparsities=_sparsities(config))


def resolve(
    config: PruneConfig,
    model: nn.Module,
    prunable: Sequence[str] | None = None,
    sample: Batch | None = None,
) -> PruningPlan:
    """Decide everything about a run before any of it is done.

    Args:
        config: what is asked for.
        model: the network.
        prunable: names of the weights that may become zero; what `select` chooses when None, or without a sample those
            of 1×1 convolutions and linear layers.
        sample: one, for which the network is run to see what becomes of its weights.

    Raises:
        ChitaEdgeError: an unknown name, options that exclude each other, or no weight to prune.
    """
    method = get_method(config.method)
    selection, weights = _selected(config, model, prunable, sample)
    names = selection.names
    if not names:
        raise PruningError(f"There is no layer to prune{_why(selection)}. Name at least one weight that may be pruned.")
    _check_costs(config, names)
    channels = config.structure in CHANNEL_STRUCTURES
    return PruningPlan(
        config=config,
        names=names,
        method=method,
        solver=get_solver(method.solver),
        pattern=None if channels else get_pattern(config.structure),
        side=cast("Side", config.structure) if channels else None,
        allocation=get_allocation(config.allocation),
        sparsities=_sparsities(config),
        ridges=tuple(factor * config.ridge for factor in method.ridges),
        curvature=_of_channels(config) if channels else curvature_kind(config),
        gradient_views=gradient_views(config),
        dense=selection.dense,
        fixed={name: share for name, share in named_sparsities(weights, config.sparsities).items() if name in names},
        denser=selection.head if prunable is None and _has_denser_head(config) else None,
    )


def _selected(
    config: PruneConfig, model: nn.Module, prunable: Sequence[str] | None, sample: Batch | None
) -> tuple[Selection, tuple[Weight, ...]]:
    given = None if prunable is None else layer_weights(model, prunable)
    if sample is None:
        return Selection(given or layer_weights(model, pointwise_and_linear(model)), ()), ()
    weights = find_weights(model, sample)
    selection = select(weights, only=config.only, ignore=config.ignore, prunable=given)
    if given is None or config.only or config.ignore:
        return selection, weights
    # Names that a caller gives are tried as they are: what cannot be pruned is an error of its own.
    return replace(
        selection, names=given, dense=tuple(one for one in selection.dense if one.name not in given)
    ), weights


def _why(selection: Selection) -> str:
    reasons = [f"{one.name} ({one.reason})" for one in selection.dense]
    more = f" and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
    return f": {', '.join(reasons[:_TOLD])}{more}" if reasons else ""


def _has_denser_head(config: PruneConfig) -> bool:
    """Whether budgets are free enough for it."""
    return config.structure in _FREE and config.allocation not in ("flops", "latency") and not config.only


def _of_channels(config: PruneConfig) -> Curvature:
    """What the sensitivities of channels are of: the outputs, or a loss that is asked for."""
    return config.curvature or ("outputs" if config.loss is None else "loss")


def _sparsities(config: PruneConfig) -> tuple[float, ...]:
    return round_sparsities(config.schedule, config.sparsity, round_count(config))


def _check_costs(config: PruneConfig, names: Sequence[str]) -> None:
    """Refuse options of costs that are missing, of no use to the allocation, or about other weights."""
    table = config.cost_table
    if table is None and config.allocation == "latency":
        raise UsageError(
            "The allocation 'latency' needs a cost table: the option cost_table of the configuration gives "
            "(density, cost) pairs for each prunable weight's name."
        )
    for option, value, users in (
        ("cost_table", table, ("latency",)),
        ("cost_sparsity", config.cost_sparsity, ("flops", "latency")),
    ):
        if value is not None and config.allocation not in users:
            raise UsageError(
                f"The option {option} is for the allocation {' or '.join(users)}; this one is {config.allocation}."
            )
    if table is not None and set(table) != set(names):
        unlike = ", ".join(sorted(set(table) ^ set(names))[:3])
        raise UsageError(f"The cost table has to name exactly the prunable weights; it differs by {unlike}.")
