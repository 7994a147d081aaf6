"""Shapes of what a traced network makes, and which of its values have the form of codes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

from chita_edge.network.inputs import Batch, input_tensors
from chita_edge.quantization.errors import UnsupportedNetworkError
from chita_edge.quantization.traced_ops import ADDS, MULTIPLIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROWS = 2
_SERIES = 3
_IMAGES = 4
_WITHIN = (3, 4)


class Values:
    """Shapes of a traced network's real values, for an example input.

    Args:
        traced: the network.
        example: what it takes, a few samples.
        series: whether it is a network of series (n, c, t), not of images (n, c, h, w).

    Raises:
        UnsupportedNetworkError: it cannot be run on the example.
    """

    def __init__(self, traced: fx.GraphModule, example: Batch, *, series: bool) -> None:
        self.ranks = (ROWS, _SERIES if series else _IMAGES)
        self.count = len(example)
        recorder = _Recorder(copy.deepcopy(traced).eval())
        try:
            with torch.no_grad():
                recorder.run(*_in_order(traced, example))
        except Exception as error:
            shapes = " and ".join(str(tuple(one.shape)) for one in input_tensors(example))
            raise UnsupportedNetworkError(
                f"The network does not run on an input of shape {shapes} "
                f"({(str(error).strip() or type(error).__name__).splitlines()[0]})."
            ) from error
        self.shapes = recorder.shapes

    def shape(self, node: fx.Node) -> torch.Size | None:
        """Of the real numbers that a node makes; None where it makes something else."""
        return self.shapes.get(node.name)

    def is_coded(self, node: fx.Node, *, in_rows: bool = False) -> bool:
        """Whether what a node makes has a form of codes: rows, or images or series, the samples first.

        in_rows: rows within each sample, the channels last.
        """
        shape = self.shape(node)
        return shape is not None and len(shape) in (_WITHIN if in_rows else self.ranks) and shape[0] == self.count

    def misfit(self, node: fx.Node) -> str | None:
        """What keeps a step of integers from doing a node, by the shapes; None where nothing does."""
        read = [one for one in _nodes(node.args) if self.shape(one) is not None and one.op != "get_attr"]
        odd = next((one for one in (*read, node) if not self.is_coded(one)), None)
        if odd is not None:
            shape = self.shape(odd)
            return "what makes no real numbers" if shape is None else f"values of {len(shape)} dimensions"
        if node.target in (*ADDS, *MULTIPLIES) and len(read) == 2:
            first, second = sorted((tuple(self.shapes[one.name]) for one in read), key=lambda shape: -_product(shape))
            gate = node.target in MULTIPLIES and len(first) > ROWS and second == (*first[:2], *[1] * (len(first) - 2))
            return None if first == second or gate else "values of different sizes"
        return None


def _in_order(traced: fx.GraphModule, example: Batch) -> tuple[torch.Tensor, ...]:
    """Tensors in the order of the network's inputs."""
    if isinstance(example, torch.Tensor) or example.names is None:
        return input_tensors(example)
    known = example.named()
    names = [str(node.target) for node in traced.graph.nodes if node.op == "placeholder"]
    return tuple(known[name] for name in names if name in known) if set(known) <= set(names) else example.tensors


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, torch.Size] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            self.shapes[n.name] = value.shape
        return value


def _nodes(arguments: Any) -> Iterator[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg(arguments, found.append)
    return iter(found)


def _product(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def is_dropout(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a node does nothing outside of training."""
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    names = ("dropout", "dropout1d", "dropout2d", "feature_dropout", "alpha_dropout")
    return isinstance(module, nn.modules.dropout._DropoutNd) or getattr(node.target, "__name__", "") in names
