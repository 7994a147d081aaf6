"""Export of a network to the one file: layers become sparse where the target's cost table finds the whole cheapest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import onnx

import exporters
import runtimes
from chita_edge.deploy.decide import cheapest_on, decide_for
from chita_edge.deploy.dense import dense_network, input_sizes
from chita_edge.deploy.int8_costs import int8_format
from chita_edge.errors import UsageError
from chita_edge.export_config import ExportConfig
from chita_edge.storage.atomic_file import check_free, write_file

if TYPE_CHECKING:
    from torch import nn

    from chita_edge.deploy.int8_network import Int8Network
    from chita_edge.network.inputs import Batch
    from exporters.from_torch import Example
    from exporters.layers import FloatDtype


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
    sizes: Mapping[str, Sequence[int]] | None = None,
    weights: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> exporters.SparseModel:
    """Give a pruned network as sparse ONNX, and what became of each of its layers and why.

    Zeros in the weights are all that counts, whoever put them there.

    Args:
        model: a torch network; a dense or quantised ONNX model from any exporter; or a text that names one of these,
            see `chita_edge.deploy.doors.open_network`. An ONNX file needs no torch. A quantised one (QDQ or QLinear
            ops) keeps its integers, and its layers run in the kernels' int8.
        config: the target, and how sparse weights are stored and multiplied.
        example_input: one batch, for a torch network: such as float32 (batch, channels, height, width), a tuple of
            several inputs, or a mapping by the names of forward's parameters.
        out: the file to write, whole or not at all.
        force: replace ``out`` where it exists.
        apart: also give the model in which each small layer is a node of its own, for a profile.
        dtype: of the network: "int8" takes a file that any tool quantised, whose integers stay as they are; "float16"
            stores weights so; "auto" is int8 for a quantised file and what ``config`` says for another.
        sizes: of inputs that leave theirs open, by name, such as (1, 3, 320, 320); the example's when None. They stay
            open in the file, and layers are chosen for these.
        weights: state dict of a registered network, or of one that the user's code makes.
        arguments: for the function of the user's code that makes the network.

    Raises:
        PlanError: a size is open, and neither ``sizes`` nor the example give it; or they do not fit.
        UsageError: a torch network comes without an example, ``out`` exists, or the file is not of this dtype.
        UnknownTargetError: there is no such target.
        ExportError: the file cannot be read, or the network cannot be exported.
        FileWriteError: ``out`` cannot be written.
    """
    if out is not None:
        check_free(out, force)
    target = runtimes.get_target(config.target)
    opened = dense_network(model, example_input, sizes, weights=weights, arguments=arguments)
    dense = opened.graph
    quantised = exporters.is_quantised(dense)
    _check_dtype(dtype, quantised, config)
    if quantised:
        exported = exporters.to_sparse_int8(dense, int8_format(target))
    else:
        stored = (dtype, dtype) if dtype == "float16" else (config.values, config.arithmetic)
        exported = _floating(dense, target, stored, input_sizes(dense, sizes, example_input), apart)
    if out is not None:
        write_file(out, exporters.to_bytes(exported.model), force)
    return replace(exported, notes=opened.notes)


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


def export_int8(found: Int8Network, example: Batch, target: runtimes.Target) -> exporters.SparseModel:
    """Give an int8 network as one node of ours, or a few, and what became of each of its layers and why.

    Args:
        found: the network.
        example: one image, float32 (1, …).
        target: whose costs decide the format of each layer.

    Raises:
        UnsupportedModelError: torch cannot export what stays float32.
    """
    from chita_edge.deploy.qdq import to_qdq

    return exporters.to_sparse_int8(to_qdq(found.network, example), int8_format(target), apart=True)


def _floating(
    dense: onnx.ModelProto,
    target: runtimes.Target,
    stored: tuple[FloatDtype, FloatDtype],
    shapes: Mapping[str, Sequence[int]],
    apart: bool,
) -> exporters.SparseModel:
    if not exporters.has_open_sizes(dense):
        return exporters.to_sparse(dense, cheapest_on(target), *stored, target.cache, apart=apart)
    # Layers are chosen, and their multiply-adds counted, at the sizes that are given; the file leaves them open.
    fixed = exporters.fix_sizes(dense, shapes)
    select = decide_for(target, fixed)
    layers = exporters.to_sparse(fixed, select, *stored, target.cache).layers
    return replace(exporters.to_sparse(dense, select, *stored, target.cache, apart=apart), layers=layers)
