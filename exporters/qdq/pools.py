"""Pools of a quantised network, as ops of ours: what each takes, and why another cannot be one."""

from __future__ import annotations

import onnx_ir as ir

from exporters.layers.graph import constant, ints
from exporters.qdq.constants import Unfit
from exporters.qdq.products import window_of
from exporters.qdq.steps import Code


def _average(node: ir.Node, code: Code) -> tuple[str, dict[str, tuple[int, ...]]]:
    if node.op_type == "ReduceMean":
        listed = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        axes = ints(node, "axes", ()) if listed is None else tuple(int(axis) for axis in listed.reshape(-1))
        if sorted(axis % 4 for axis in axes) != [2, 3]:
            raise Unfit("it is a mean over other dimensions than height and width")
    elif node.op_type == "AveragePool":
        whole = ints(node, "kernel_shape", ()) == code.shape[1:] and not any(ints(node, "pads", (0,)))
        if not whole or (node.attributes.get("ceil_mode") is not None and node.attributes["ceil_mode"].as_int()):
            raise Unfit("it is an average over a part of the image")
    return "QGlobalAveragePool", {}


def _largest(node: ir.Node, _code: Code) -> tuple[str, dict[str, tuple[int, ...]]]:
    kernel = ints(node, "kernel_shape", ())
    if len(kernel) != 2 or len(node.outputs) > 1:
        raise Unfit("it is a pool over other dimensions than two, or tells where the largest were")
    window = window_of(node, kernel)
    ceil = node.attributes["ceil_mode"].as_int() if "ceil_mode" in node.attributes else 0
    wide = any(pad >= kernel[index % 2] for index, pad in enumerate(window["pads"]))
    if set(window["dilations"]) != {1} or ceil or wide:
        raise Unfit("it is a pool of a kind that no int8 op of ours has")
    return "QMaxPool", {"kernel_shape": kernel, "strides": window["strides"], "pads": window["pads"]}


POOLS = {"GlobalAveragePool": _average, "ReduceMean": _average, "AveragePool": _average, "MaxPool": _largest}
