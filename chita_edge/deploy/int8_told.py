"""How far an int8 network's outputs are from the dense one's, and which weights stay dense: told as of float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from chita_edge.engine.plan import resolve
from chita_edge.network.distance import Answers
from chita_edge.network.objective import find_objective
from chita_edge.network.selection import KeptDense

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from chita_edge.datasets import LabelledImages
    from chita_edge.engine.config import PruneConfig
    from chita_edge.quantization import QuantisedNetwork

MOST_SAMPLES = 1000
GROUPED = "int8 blocks are of layers without groups"
FLOATING = "it is in a part of the network that stays float32"


@dataclass(frozen=True)
class Told:
    """Beside an int8 network.

    Attributes:
        compared: how its outputs are compared with the dense network's, and how far they are from these.
        dense: the weights that were not pruned, and why.
    """

    compared: str
    dense: tuple[KeptDense, ...]


def tell(
    model: nn.Module,
    network: QuantisedNetwork,
    samples: LabelledImages,
    config: PruneConfig,
    prunable: Sequence[str] | None,
    *,
    seen: bool,
) -> Told:
    """What is told of a network of integers.

    Args:
        model: the dense network.
        network: its integers.
        samples: to compare them on, at most 1,000.
        config: the options; the kinds of the outputs may be given, and names that are pruned or not.
        prunable: names of the weights that were to be pruned; chosen as for float32 when None.
        seen: whether the network was fitted on the samples.
    """
    some = samples[:MOST_SAMPLES]
    kinds: Any = config.distance
    objective = find_objective(model, some.images, some.labels, kinds=kinds)
    distance = Answers.of(model, some.images, objective).divergence(cast("nn.Module", network))
    on = "which it was fitted on" if seen else "which nothing was fitted on"
    plan = resolve(config, model, prunable, some.images[:1])
    grouped = [name for name in plan.names if _groups(network, name) > 1]
    floating = [name for name in plan.names if name.removesuffix(".weight") not in network.graph.layers]
    reasons = dict.fromkeys(grouped, GROUPED) | dict.fromkeys(floating, FLOATING)
    more = (
        KeptDense(name, tuple(model.get_parameter(name).shape), _owner(model, name), why)
        for name, why in reasons.items()
    )
    compared = f"{objective}; the int8 network is {distance:.3g} away on {len(some):,} samples, {on}"
    return Told(compared, (*plan.dense, *more))


def _groups(network: QuantisedNetwork, name: str) -> int:
    layer = network.graph.layers.get(name.removesuffix(".weight"))
    return 1 if layer is None else layer.groups


def _owner(model: nn.Module, name: str) -> str:
    """Class of the module that holds a weight."""
    return type(model.get_submodule(name.rpartition(".")[0])).__name__
