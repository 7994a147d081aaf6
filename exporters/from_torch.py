"""A torch network → dense ONNX as ORT runs it best: Conv + Clip, batch norm folded, batch dimension dynamic."""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

import onnx

from exporters.ops import OPSET
from exporters.serialize import to_proto

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch import nn

INPUT = "input"
OUTPUT = "logits"


Example: TypeAlias = "torch.Tensor | tuple[torch.Tensor, ...] | Mapping[str, torch.Tensor]"


def to_onnx(model: nn.Module, example_input: Example) -> onnx.ModelProto:
    """The network in inference mode as a model of standard ONNX.

    example_input: such as float32 (batch, channels, height, width), or int64 (batch, tokens); all but the batch size
    becomes fixed. A network of several inputs takes a tuple, or a mapping by the names of forward's parameters, the
    batch first in each.
    The model's input is called ``input`` (several: ``input_0``, ``input_1``, …, or by their names), its output, or
    first one, ``logits``, its initializers as the network's parameters. The same weights give the same bytes.
    ``model`` is left as it was. A network that was made from a graph gives that graph, with all its own names.

    Raises UnsupportedModelError when torch cannot export the network.
    """
    # Torch and the rewriter take seconds to import, and who only reads or checks files needs neither.
    import onnx_ir as ir

    from exporters.interpreter import OnnxNetwork
    from exporters.passes import FoldBatchNorm, FoldConstants, MeanToPool, NameLayers, ShapeToFlatten, Strip
    from exporters.prepare import prepare

    if isinstance(model, OnnxNetwork):
        return prepare(model.to_onnx(), fold_batch_norm=True)
    exported = _export(model, example_input)
    ir.passes.Sequential(FoldConstants(), FoldBatchNorm(), MeanToPool(), ShapeToFlatten(), Strip(), NameLayers())(
        exported
    )
    return to_proto(exported)


def _export(model: nn.Module, example_input: Example) -> ir.Model:
    import torch

    from exporters.errors import UnsupportedModelError

    try:
        with _quiet():
            network = copy.deepcopy(model).eval()
    except RuntimeError as error:
        raise UnsupportedModelError(
            f"{type(model).__name__} cannot be copied ({str(error).splitlines()[0]}); clear what its modules keep of "
            "the last forward pass."
        ) from error
    for module in network.modules():
        # Tracing an in-place activation takes torch 0.2 s, and it computes the same as the other.
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 - nn.Module declares every attribute a Tensor or Module
    # Two images at least: torch.export takes a dimension of 1 for a constant.
    named = isinstance(example_input, Mapping)
    given = _by_name(network, example_input)
    known = getattr(network, "meta", None)
    known = known if isinstance(known, Mapping) else {}
    fixed = known.get("fixed_batch") == 1  # of a program of torch.export
    examples = {name: (x[:1] if fixed else _several(x)).contiguous() for name, x in given.items()}
    batch = {} if fixed else {0: torch.export.Dim("batch")}
    opened = _open(known.get("open_sizes", {}), examples)
    shapes = {name: batch | dict.fromkeys(more, torch.export.Dim.AUTO) for name, more in opened}
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                () if named else tuple(examples.values()),
                kwargs=examples if named else None,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(examples),
                output_names=[OUTPUT],
                dynamic_shapes=shapes if named else tuple(shapes.values()),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UnsupportedModelError(
            f"torch cannot export {type(model).__name__} to ONNX ({reason}); it must be traceable for inputs of shape "
            f"{', '.join(str(tuple(one.shape)) for one in given.values())} with any batch size."
        ) from error
    if program is None:  # torch's type allows it, for the exporter without dynamo
        raise UnsupportedModelError(f"torch exported nothing for {type(model).__name__}; report this.")
    return program.model


def _several(one: torch.Tensor) -> torch.Tensor:
    """Two samples at least."""
    return one if len(one) > 1 else one.expand(2, *one.shape[1:])


def _open(
    known: Mapping[str, tuple[int, ...]], examples: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Sizes that stay open beside the batch, by input: those that a program of torch.export left so."""
    named = set(known) == set(examples)
    for place, name in enumerate(examples):
        yield name, known[name] if named else (*known.values(), *[()] * len(examples))[place]


def _by_name(network: nn.Module, example_input: Example) -> dict[str, torch.Tensor]:
    """Inputs by the names that they have in the file; those of a mapping in the order of forward's parameters."""
    import torch

    if isinstance(example_input, Mapping):
        order = list(inspect.signature(network.forward).parameters)
        places = {name: order.index(name) if name in order else len(order) for name in example_input}
        return {name: example_input[name] for name in sorted(example_input, key=lambda name: places[name])}
    if isinstance(example_input, torch.Tensor):
        return {INPUT: example_input}
    several = len(example_input) > 1
    return {f"{INPUT}_{number}" if several else INPUT: one for number, one in enumerate(example_input)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's exporter from talking about itself.

    It warns of deprecated parts of torch that it uses itself (Deprecation- and FutureWarning), logs that torchvision
    is missing, and logs with its stack what it then raises as well. None of that says anything about the user's
    network; warnings of other categories still come through.
    """
    loggers = {logging.getLogger("torch.onnx"): logging.ERROR, logging.getLogger("torch._guards"): logging.CRITICAL}
    levels = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            # Several inputs share their batch on purpose.
            warnings.filterwarnings("ignore", "# The axis name: batch", UserWarning)
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
