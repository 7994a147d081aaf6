"""Objective of a run: found from the network and its samples, or as the configuration and the caller say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chita_edge.errors import UsageError
from chita_edge.network.objective import LOSSES, Objective, find_objective
from chita_edge.user_code import named_object, names_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from chita_edge.datasets import LabelledImages
    from chita_edge.engine.config import PruneConfig


def run_objective(
    model: nn.Module,
    calibration: LabelledImages,
    config: PruneConfig,
    loss: Callable[[Any, Any], Any] | None = None,
) -> Objective:
    """The objective of one run of pruning.

    Args:
        model: the dense network.
        calibration: its samples.
        config: may name a loss and the kinds of the outputs.
        loss: the caller's, instead of one that the configuration names.

    Raises:
        UsageError: there is no such loss, or it needs labels and there are none.
        CalibrationError: see `find_objective`.
    """
    kinds: Any = config.distance
    if loss is None and config.loss is not None:
        if config.loss in LOSSES:
            kinds = kinds or LOSSES[config.loss]
        elif names_code(config.loss):
            loss = named_object(config.loss, "a function of outputs and labels")
            if not callable(loss):
                raise UsageError(f"{config.loss!r} is of type {type(loss).__name__}; a loss is a function.")
        else:
            raise UsageError(
                f"There is no loss {config.loss!r}; there are {', '.join(LOSSES)}, and a function of your own as "
                "package.module:function."
            )
    if (loss is not None or config.loss is not None) and calibration.labels is None:
        raise UsageError("A loss compares outputs with labels, and the data hold none. Give labels, or no loss.")
    return find_objective(model, calibration.images, calibration.labels, kinds=kinds, own_loss=loss)
