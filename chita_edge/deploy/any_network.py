"""Pruning of a network that a text names, or of one in torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chita_edge.deploy.doors import OwnNetwork, open_network, suited
from chita_edge.engine import api
from chita_edge.engine.config import PruneConfig
from chita_edge.errors import UsageError
from chita_edge.models import load_weights

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.engine.result import PruneResult


def prune(
    model: nn.Module | str | Path,
    data: Any,
    config: PruneConfig | None = None,
    *,
    weights: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    **options: Any,
) -> PruneResult:
    """Prune a copy of a network; a network that is given is left untouched.

    Args:
        model: trained network, or a text that names one, see `chita_edge.deploy.doors.open_network`.
        data: calibration samples, see `chita_edge.engine.api.prune`.
        config: how; the defaults when None.
        weights: state dict, for a text that names a registered network or the user's code.
        arguments: for the function of the user's code.
        options: the others of `chita_edge.engine.api.prune`: prunable, loss, gradients, state_dir, progress, ….

    Raises:
        ChitaEdgeError: see there; or there is no such network.
    """
    config = config or PruneConfig()
    if isinstance(model, str | Path):
        door = open_network(str(model), weights=weights, arguments=arguments)
        if isinstance(door, OwnNetwork):
            model = door.model
        else:
            source = door.weights_file(weights)
            if source is None:
                raise UsageError(f"The model {door.name!r} comes without trained weights: give weights.")
            model = door.architecture().eval()
            load_weights(model, source)
            options.setdefault("prunable", door.prunable(model))
    elif weights is not None or arguments:
        raise UsageError("A network that is given holds its weights; leave out weights and arguments.")
    return api.prune(model, data, suited(config, model), **options)
