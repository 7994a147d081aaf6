"""Export of a network to the one file: layers become sparse where the target's cost table finds the whole cheapest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx

import exporters
import runtimes
from chita_edge.config import ExportConfig
from chita_edge.deploy.decide import cheapest_on
from chita_edge.deploy.int8_costs import int8_format
from chita_edge.deploy.qdq import to_qdq
from chita_edge.errors import UsageError
from chita_edge.storage.atomic_file import check_free, write_file

if TYPE_CHECKING:
    import torch
    from torch import nn

    from chita_edge.deploy.int8_network import Int8Network
    from exporters.from_torch import Example


def export(
    model: nn.Module | onnx.ModelProto | str | Path,
    config: ExportConfig,
    *,
    example_input: Example | None = None,
    out: Path | None = None,
    force: bool = False,
    apart: bool = False,
) -> exporters.SparseModel:
    """Give a pruned network as sparse ONNX, and what became of each of its layers and why.

    Zeros in the weights are all that counts, whoever put them there.

    Args:
        model: a torch network; a dense ONNX model, or the path of one, from any exporter.
        config: the target, and how sparse weights are stored and multiplied.
        example_input: one batch, for a torch network: such as float32 (batch, channels, height, width), a tuple of
            several inputs, or a mapping by the names of forward's parameters.
        out: the file to write, whole or not at all.
        force: replace ``out`` where it exists.
        apart: also give the model in which each small layer is a node of its own, for a profile.

    Raises:
        UsageError: a torch network comes without an example, or ``out`` exists.
        UnknownTargetError: there is no such target.
        ExportError: the file cannot be read, or the network cannot be exported.
        FileWriteError: ``out`` cannot be written.
    """
    if out is not None:
        check_free(out, force)
    target = runtimes.get_target(config.target)
    if isinstance(model, str | Path):
        dense = exporters.load(model)
    elif isinstance(model, onnx.ModelProto):
        dense = model
    elif example_input is not None:
        dense = exporters.to_onnx(model, example_input)
    else:
        raise UsageError("A torch network is exported by running it: give example_input, one batch of its inputs.")
    exported = exporters.to_sparse(
        dense, cheapest_on(target), config.values, config.arithmetic, target.cache, apart=apart
    )
    if out is not None:
        write_file(out, exporters.to_bytes(exported.model), force)
    return exported


def export_int8(
    found: Int8Network, example: torch.Tensor, target: runtimes.Target
) -> tuple[exporters.SparseModel, onnx.ModelProto]:
    """Give an int8 network as one node of ours, or a few, what became of each of its layers and why, and as QDQ alone.

    Args:
        found: the network.
        example: one image, float32 (1, …).
        target: whose costs decide the format of each layer.

    Raises:
        QdqError: a layer has no such form.
    """
    model = to_qdq(found.network, example)
    return exporters.to_sparse_int8(model, int8_format(target)), model
