"""Export of a network to the one file: layers become sparse where the target's cost table finds the whole cheapest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx

import exporters
import runtimes
from chita_edge.config import ExportConfig
from chita_edge.deploy.decide import cheapest_on
from chita_edge.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn


def export(
    model: nn.Module | onnx.ModelProto | str | Path,
    config: ExportConfig,
    *,
    example_input: torch.Tensor | None = None,
    apart: bool = False,
) -> exporters.SparseModel:
    """Give a pruned network as sparse ONNX, and what became of each of its layers and why.

    Zeros in the weights are all that counts, whoever put them there. ``exporters.save(result.model, path)`` writes the
    file.

    Args:
        model: a torch network; a dense ONNX model, or the path of one, from any exporter.
        config: the target, and how sparse weights are stored and multiplied.
        example_input: float32 (batch, channels, height, width), for a torch network.
        apart: also give the model in which each small layer is a node of its own, for a profile.

    Raises:
        UsageError: there is no such target, or a torch network comes without an example.
        ExportError: the file cannot be read, or the network cannot be exported.
    """
    target = runtimes.get_target(config.target)
    if isinstance(model, str | Path):
        dense = exporters.load(model)
    elif isinstance(model, onnx.ModelProto):
        dense = model
    elif example_input is not None:
        dense = exporters.to_onnx(model, example_input)
    else:
        raise UsageError("A torch network is exported by running it: give example_input, one batch of its inputs.")
    return exporters.to_sparse(dense, cheapest_on(target), config.values, target.cache, config.arithmetic, apart=apart)
