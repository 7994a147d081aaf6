"""Network as a list of steps in the order in which they run, batch norm folded and activations fused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chita_edge.network.inputs import Batch

Op = Literal[
    "input", "layer", "add", "multiply", "concat", "average_pool", "max_pool", "flatten", "table", "series",
    "given", "float", "quantise",
]  # fmt: skip
Pair = tuple[int, int]
Curve = Callable[[torch.Tensor], torch.Tensor]
"""Function of single numbers."""
_ROWS_OF_SAMPLES = 3
REAL = ("given", "float")
"""Ops whose outputs are real numbers: the network's input as it comes, and what has no integer form."""

FUNCTIONS: dict[str, Curve] = {
    "relu": torch.relu,
    "relu6": functional.relu6,
    "hard_swish": functional.hardswish,
    "hard_sigmoid": functional.hardsigmoid,
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class Clip:
    """Bounds of a step's output; ReLU is (0, ∞), ReLU6 (0, 6)."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def is_none(self) -> bool:
        """Whether nothing is clipped."""
        return self == Clip()

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """The clipped values."""
        return values if self.is_none else values.clamp(self.low, self.high)


@dataclass(frozen=True)
class Layer:
    """Weights and geometry of a convolution, (out, in / groups, kh, kw), or a linear layer, (out, in).

    Attributes:
        weight: float32.
        bias: float32 (out,).
        stride: down and right.
        padding: zeros above and below, left and right.
        more_padding: further zeros below, and right; below 0 where there are fewer.
        dilation: down and right.
        groups: of the channels.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    more_padding: Pair = (0, 0)

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """Zeros above, left, below, right."""
        (down, right), (below, behind) = self.padding, self.more_padding
        return down, right, down + below, right + behind

    def padded(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs of a convolution within its zeros."""
        top, left, bottom, right = self.pads
        return functional.pad(inputs, (left, right, top, bottom))

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution; otherwise a linear layer."""
        return self.weight.dim() == 4

    def product(self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """W ∗ x + b with other weights and bias than its own, of this geometry."""
        if self.is_convolution:
            inputs, padding = (inputs, self.padding) if self.more_padding == (0, 0) else (self.padded(inputs), (0, 0))
            return functional.conv2d(inputs, weight, bias, self.stride, padding, self.dilation, self.groups)
        return functional.linear(inputs, weight, bias)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """W ∗ x + b."""
        return self.product(inputs, self.weight, self.bias)


@dataclass(frozen=True)
class Pool:
    """Window of a pooling; ``kernel`` None is the whole image."""

    kernel: Pair | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    Attributes:
        name: of the step and its output; a layer's is that of its module.
        op: what it does.
        inputs: names of the steps that it reads.
        clip: what follows within the step, for layers and sums.
        place: of ops "input" and "given", which of the network's inputs it is.
        argument: of these, the name of forward's parameter.
        layer: of op "layer".
        pool: of the poolings.
        function: of op "table", a name of `FUNCTIONS`; where it is of none of these, ``curve`` is the function.
        curve: see there.
        part: of op "float", what it computes of its inputs, in float32.
        reasons: of op "float", what it holds that has no integer form.
        series: of ops "input" and "quantise", whether series (n, c, t) come in, and become images of height 1,
            (n, c, 1, t). Op "series" makes them series again.
        rows: of op "quantise", whether rows within samples come in, (n, …, channels), and become images: (n, channels,
            t, 1) of (n, t, channels).
        norm: name of the batch norm that was folded into the layer.
    """

    name: str
    op: Op
    inputs: tuple[str, ...] = ()
    clip: Clip = field(default_factory=Clip)
    place: int = 0
    argument: str = ""
    layer: Layer | None = None
    pool: Pool | None = None
    function: str | None = None
    curve: Curve | None = None
    part: Callable[..., torch.Tensor] | None = None
    reasons: tuple[str, ...] = ()
    series: bool = False
    rows: bool = False
    norm: str | None = None

    @property
    def weights(self) -> Layer:
        """The layer of a step of op "layer"."""
        assert self.layer is not None  # noqa: S101 (by construction)
        return self.layer

    @property
    def window(self) -> Pool:
        """The window of a pooling."""
        assert self.pool is not None  # noqa: S101 (by construction)
        return self.pool

    @property
    def looked_up(self) -> Curve:
        """The function of op "table"."""
        found = self.curve if self.function is None else FUNCTIONS[self.function]
        assert found is not None  # noqa: S101 (by construction)
        return found

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The output in floating point."""
        first = inputs[0]
        if self.op == "layer":
            return self.clip(self.weights(first))
        if self.op == "add":
            return self.clip(first + inputs[1])
        if self.op == "multiply":
            return first * inputs[1]
        if self.op == "concat":
            return torch.cat(inputs, 1)
        if self.op == "average_pool":
            kernel, stride, padding = pool_window(self.window, first)
            return functional.avg_pool2d(first, kernel, stride, padding)
        if self.op == "max_pool":
            kernel, stride, padding = pool_window(self.window, first)
            return functional.max_pool2d(first, kernel, stride, padding)
        if self.op == "table":
            return self.looked_up(first)
        if self.op == "float":
            assert self.part is not None  # noqa: S101 (by construction)
            # It may change them in place, and their layout decides in which order sums are added up.
            return self.part(*(value.clone(memory_format=torch.contiguous_format) for value in inputs))
        return self.reshaped(first)

    def taken(self, images: Batch) -> torch.Tensor:
        """What a step without inputs takes of the network's."""
        if isinstance(images, torch.Tensor):
            return images
        names = images.names or ()
        return images.tensors[names.index(self.argument) if self.argument in names else self.place]

    def reshaped(self, values: torch.Tensor) -> torch.Tensor:
        """What the step reads, or its codes, in the shape of what it makes: of input, quantise, flatten and series."""
        if self.op in ("input", "quantise") and self.series:
            return values[:, :, None]
        if self.rows:
            images = values.movedim(-1, 1)
            return images[..., None] if images.dim() == _ROWS_OF_SAMPLES else images
        if self.op == "series":
            return values[:, :, 0]
        return values.flatten(1) if self.op == "flatten" else values


def pool_window(pool: Pool, inputs: torch.Tensor) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding of a pooling of these inputs."""
    whole = (inputs.shape[2], inputs.shape[3])
    return (whole, whole, (0, 0)) if pool.kernel is None else (pool.kernel, pool.stride, pool.padding)


@dataclass(frozen=True)
class Graph:
    """A network with one output.

    Attributes:
        steps: in an order in which they can run; the inputs first.
        output: name of the step whose output is the network's.
    """

    steps: tuple[Step, ...]
    output: str

    def __getitem__(self, name: str) -> Step:
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Step]:
        """The steps by name."""
        return {step.name: step for step in self.steps}

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers by the name of their step, in order."""
        return {step.name: step.layer for step in self.steps if step.layer is not None}

    def readers(self, name: str) -> list[Step]:
        """The steps that read this one."""
        return [step for step in self.steps if name in step.inputs]

    @property
    def floats(self) -> tuple[Step, ...]:
        """The steps without an integer form."""
        return tuple(step for step in self.steps if step.op == "float")

    def stays_real(self, step: Step) -> bool:
        """Whether a linear layer's output is read as real numbers only, by the network's user or by float steps."""
        linear = step.layer is not None and not step.layer.is_convolution
        return linear and all(reader.op == "float" for reader in self.readers(step.name))

    def with_layers(self, layers: Mapping[str, Layer]) -> Graph:
        """Copy of the network with other weights in the given layers."""
        steps = tuple(replace(s, layer=layers[s.name]) if s.name in layers else s for s in self.steps)
        return Graph(steps, self.output)

    def walk(self, images: Batch) -> Iterator[tuple[Step, tuple[torch.Tensor, ...], torch.Tensor]]:
        """Each step with its inputs and its output, in floating point; values are dropped after their last reader."""
        values: dict[str, torch.Tensor] = {}
        last = self.last_uses()
        for step in self.steps:
            inputs = tuple(values[name] for name in step.inputs) or (step.taken(images),)
            values[step.name] = step(*inputs)
            yield step, inputs, values[step.name]
            for name in last[step.name]:
                del values[name]

    def __call__(self, images: Batch) -> torch.Tensor:
        """The network's output in floating point."""
        for step, _, value in self.walk(images):
            if step.name == self.output:
                return value
        raise AssertionError(self.output)

    def last_uses(self) -> dict[str, tuple[str, ...]]:
        """For each step, the values that no later step reads; the network's output stays."""
        last = {step.name: step.name for step in self.steps}
        for step in self.steps:
            last |= dict.fromkeys(step.inputs, step.name)
        ended: dict[str, tuple[str, ...]] = {step.name: () for step in self.steps}
        for name, reader in last.items():
            if name != self.output:
                ended[reader] += (name,)
        return ended
