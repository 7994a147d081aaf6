"""Torch's modules and functions that are one step without weights, or none."""

from __future__ import annotations

import operator

import torch
from torch import nn
from torch.nn import functional

from chita_edge.quantization.graph import Clip

RELU, RELU6 = Clip(0.0), Clip(0.0, 6.0)
CLIPS: dict[object, Clip] = {
    nn.ReLU: RELU, nn.ReLU6: RELU6, functional.relu: RELU, functional.relu6: RELU6, torch.relu: RELU, torch.relu_: RELU,
    "relu": RELU, "relu_": RELU,
}  # fmt: skip
TABLES: dict[object, str] = {
    nn.Hardswish: "hard_swish", functional.hardswish: "hard_swish",
    nn.Hardsigmoid: "hard_sigmoid", functional.hardsigmoid: "hard_sigmoid",
    nn.SiLU: "silu", functional.silu: "silu",
    nn.Sigmoid: "sigmoid", torch.sigmoid: "sigmoid", functional.sigmoid: "sigmoid", "sigmoid": "sigmoid",
    nn.Tanh: "tanh", torch.tanh: "tanh", "tanh": "tanh",
}  # fmt: skip
TABLE_OF_CLIP = {RELU: "relu", RELU6: "relu6"}
IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
ADDS = (operator.add, operator.iadd, torch.add, "add", "add_")
MULTIPLIES = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
CONCATS = (torch.cat, torch.concat, torch.concatenate)
CONVOLUTIONS = (functional.conv1d, torch.conv1d, functional.conv2d, torch.conv2d)
RESHAPES = ("view", "reshape")
MEANS, LARGEST = ("mean", torch.mean), ("amax", torch.amax)
MOVES: tuple[object, ...] = (
    "view", "reshape", "permute", "transpose", "contiguous", "unflatten", "flatten", "squeeze", "unsqueeze", "expand",
    "chunk", "split", "unbind", torch.permute, torch.transpose, torch.reshape, torch.unflatten, torch.flatten,
    torch.squeeze, torch.unsqueeze, torch.chunk, torch.split, torch.unbind, operator.getitem, *CONCATS,
)  # fmt: skip
"""What changes the place of numbers alone."""
