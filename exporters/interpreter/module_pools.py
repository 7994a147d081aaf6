"""ONNX's pools and reductions as torch modules, over the sides that the network's input has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import torch
from torch import fx, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.interpreter.module_builder import Builder

AVERAGES = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
MAXIMA = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
WHOLE_AVERAGES = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}
WHOLE_MAXIMA = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d}


def pool(kinds: dict[int, Any], *, averages: bool) -> Callable[..., fx.Node]:
    """What makes a pool over windows; ``kinds`` by the number of sides."""

    def build(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
        kernel = tuple(attributes["kernel_shape"])
        pads = list(attributes.get("pads", [0, 0] * b.sides))
        auto = attributes.get("auto_pad", b"NOTSET").decode()
        odd = attributes.get("ceil_mode", 0) or set(attributes.get("dilations", [1])) != {1}
        if len(kernel) != b.sides or pads[: b.sides] != pads[b.sides :] or odd or auto not in ("NOTSET", "VALID"):
            raise b.refusal(node, " with padding or rounding of its own")
        strides, zeros = tuple(attributes.get("strides", (1,) * b.sides)), tuple(pads[: b.sides])
        counted = {"count_include_pad": bool(attributes.get("count_include_pad", 0))} if averages else {}
        return b.call(node, kinds[b.sides](kernel, strides, zeros, **counted), b.value(node))

    return build


def whole_pool(kinds: dict[int, Any]) -> Callable[..., fx.Node]:
    """What makes a pool over whole sides, which stay as sides of 1."""

    def build(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
        del attributes
        return b.call(node, kinds[b.sides](1), b.value(node))

    return build


def reduction(kinds: dict[int, Any]) -> Callable[..., fx.Node]:
    """What makes a pool over whole sides, with or without them afterwards."""

    def build(b: Builder, node: onnx.NodeProto, attributes: dict[str, Any]) -> fx.Node:
        axes = b.array(node, 1)
        if axes is None or sorted(int(axis) % (2 + b.sides) for axis in axes.reshape(-1)) != b.axes:
            raise b.refusal(node, " over other axes than the sides")
        pooled = b.call(node, kinds[b.sides](1), b.value(node))
        return pooled if attributes.get("keepdims", 1) else b.fx.call_function(torch.flatten, (pooled, 1))

    return build
