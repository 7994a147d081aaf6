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


def to_onnx(model: nn.Module, example_input: torch.Tensor) -> onnx.ModelProto:
    """The network in inference mode as a model of standard ONNX.

    example_input: float32 (batch, channels, height, width); height and width become fixed, the batch size does not.
    The model's input is called ``input``, its output ``logits``, its initializers as the network's parameters. The same
    weights give the same bytes. ``model`` is left as it was.

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


def _export(model: nn.Module, example_input: torch.Tensor) -> ir.Model:
    import torch

    from exporters.errors import UnsupportedModelError

    network = copy.deepcopy(model).eval()
    for module in network.modules():
        # Tracing an in-place activation takes torch 0.2 s, and it computes the same as the other.
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 - nn.Module declares every attribute a Tensor or Module
    # Two images at least: torch.export takes a dimension of 1 for a constant.
    example = example_input if example_input.shape[0] > 1 else example_input.expand(2, *example_input.shape[1:])
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example.contiguous(),),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UnsupportedModelError(
            f"torch cannot export {type(model).__name__} to ONNX ({reason}); it must be traceable for inputs of shape "
            f"{tuple(example_input.shape)} with any batch size."
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
            yield
    finally:
        logger.setLevel(level)
