"""A torch network → dense ONNX as ORT runs it best: Conv + Clip, batch norm folded, batch dimension dynamic."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import onnx

from exporters.ops import OPSET
from exporters.serialize import to_proto

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch import nn

INPUT = "input"
OUTPUT = "logits"


def to_onnx(model: nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...]) -> onnx.ModelProto:
    """The network in inference mode as a model of standard ONNX.

    example_input: float32 (batch, channels, height, width); height and width become fixed, the batch size does not. A
    network of several inputs takes a tuple, the batch first in each.
    The model's input is called ``input`` (several: ``input_0``, ``input_1``, …), its output, or first one, ``logits``,
    its initializers as the network's parameters. The same weights give the same bytes. ``model`` is left as it was.

    Raises UnsupportedModelError when torch cannot export the network.
    """
    # Torch and the rewriter take seconds to import, and who only reads or checks files needs neither.
    import onnx_ir as ir

    from exporters.passes import FoldBatchNorm, FoldConstants, MeanToPool, NameLayers, ShapeToFlatten, Strip

    exported = _export(model, example_input)
    ir.passes.Sequential(FoldConstants(), FoldBatchNorm(), MeanToPool(), ShapeToFlatten(), Strip(), NameLayers())(
        exported
    )
    return to_proto(exported)


def _export(model: nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...]) -> ir.Model:
    import torch

    from exporters.errors import UnsupportedModelError

    try:
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
    given = (example_input,) if isinstance(example_input, torch.Tensor) else example_input
    examples = tuple((one if len(one) > 1 else one.expand(2, *one.shape[1:])).contiguous() for one in given)
    names = [INPUT] if len(examples) == 1 else [f"{INPUT}_{number}" for number in range(len(examples))]
    batch = torch.export.Dim("batch")
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                output_names=[OUTPUT],
                dynamic_shapes=tuple({0: batch} for _ in examples),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UnsupportedModelError(
            f"torch cannot export {type(model).__name__} to ONNX ({reason}); it must be traceable for inputs of shape "
            f"{', '.join(str(tuple(one.shape)) for one in given)} with any batch size."
        ) from error
    if program is None:  # torch's type allows it, for the exporter without dynamo
        raise UnsupportedModelError(f"torch exported nothing for {type(model).__name__}; report this.")
    return program.model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's exporter from talking about itself.

    It warns of deprecated parts of torch that it uses itself (Deprecation- and FutureWarning) and logs that torchvision
    is missing. Neither says anything about the user's network; warnings of other categories still come through.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            # Several inputs share their batch on purpose.
            warnings.filterwarnings("ignore", "# The axis name: batch", UserWarning)
            yield
    finally:
        logger.setLevel(level)
