"""Export of a network to the one file: layers become sparse where the target's cost table finds the whole cheapest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

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


Dtype = Literal["auto", "int8", "float32", "float16"]


def export(
    model: nn.Module | onnx.ModelProto | str | Path,
    config: ExportConfig,
    *,
    example_input: Example | None = None,
    out: Path | None = None,
    force: bool = False,
    apart: bool = False,
    dtype: Dtype = "auto",
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
        dtype: of the network: "int8" takes a file that any tool quantised, whose integers stay as they are; "float16"
            stores weights so; "auto" is int8 for a quantised file and what ``config`` says for another.

    Raises:
        UsageError: a torch network comes without an example, ``out`` exists, or the file is not of this dtype.
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
    quantised = exporters.is_quantised(dense)
    _check_dtype(dtype, quantised, config)
    if quantised:
        exported = exporters.to_sparse_int8(dense, int8_format(target))
    else:
        stored = (dtype, dtype) if dtype == "float16" else (config.values, config.arithmetic)
        exported = exporters.to_sparse(dense, cheapest_on(target), *stored, target.cache, apart=apart)
    if out is not None:
        write_file(out, exporters.to_bytes(exported.model), force)
    return exported


def _check_dtype(dtype: Dtype, quantised: bool, config: ExportConfig) -> None:
    """Refuse a dtype that a file is not of."""
    if dtype == "int8" and not quantised:
        raise UsageError(
            "The network holds no integers. Quantise it first: `chita-edge build --dtype int8`, "
            "`chita-edge prune --dtype int8 --out NAME.onnx`, or any tool that writes QDQ or QLinear ops."
        )
    floating = dtype in ("float32", "float16") or config.values == "float16"
    if quantised and floating:
        raise UsageError("The network is quantised, and its integers stay as they are; leave out --dtype and --values.")


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
