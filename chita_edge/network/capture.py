"""Capture of layers: each call's input and the loss's gradient by its output, for chosen weights."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch

from chita_edge.network.batch import changes, copy_network, run_batch
from chita_edge.network.calls import LayerCalls
from chita_edge.network.errors import CalibrationError
from chita_edge.network.in_place import InPlaceGuard
from chita_edge.network.layer import LayerForm, Linear, weight_gradients
from chita_edge.network.sample_axis import SampleAxis, sample_axes
from chita_edge.network.targets import layer_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from chita_edge.network.inputs import Batch

    Loss = Callable[[Any, Any], torch.Tensor]


@dataclass(frozen=True)
class CapturedCall:
    """One call of linear or convolution on a batch of n samples, the samples first.

    Attributes:
        form: of the layer.
        inputs: what it was given.
        output_gradients: the summed loss's gradient by its output.
        entries: of the first dimension that belong to a sample.
    """

    form: LayerForm
    inputs: torch.Tensor
    output_gradients: torch.Tensor
    entries: int

    def gradients(self, samples_per_row: int) -> torch.Tensor:
        """Gradients by the weight, summed over neighbouring samples: (n / samples_per_row, weights)."""
        return weight_gradients(self.form, self.inputs, self.output_gradients, samples_per_row * self.entries)


@dataclass
class _Record:
    """A call during a forward pass.

    Attributes:
        name: of the weight.
        form: of the layer.
        inputs: of the call.
        version: number of the input's changes in place.
        shape: of the output.
        graded: whether torch takes gradients there.
        gradient: by the output, once it is known.
    """

    name: str
    form: LayerForm
    inputs: torch.Tensor
    version: int | None
    shape: tuple[int, ...] = ()
    graded: bool = False
    gradient: torch.Tensor | None = None


class LayerCapture:
    """A private copy of a network in evaluation mode, whose calls with chosen weights can be read.

    A hook on each call's output takes the gradient as it was before any later change in place. An input that the
    network changes afterwards is copied when it is given; which ones those are shows in the first pass. Where samples
    of a batch touch each other, as in a batch norm without running statistics, they are taken one at a time.

    Args:
        model: any network; not changed.
        names: of the weights.

    Raises:
        CalibrationError: there is no such weight.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.model = copy_network(model).eval().requires_grad_(False)
        for module in self.model.modules():
            if hasattr(module, "inplace"):
                module.inplace = cast("Any", False)  # fewer inputs to copy
        self.names = layer_weights(self.model, names)
        self._guard = InPlaceGuard()
        self._axes: Sequence[SampleAxis] | None = None
        self._probed = False
        self._copied: set[int] = set()
        self._records: list[_Record] = []
        self._leaves: list[torch.Tensor] = []

    def sizes(self) -> dict[str, int]:
        """Number of weights, by name."""
        return {name: self.model.get_parameter(name).numel() for name in self.names}

    def read(self, images: Batch, labels: torch.Tensor | None, loss: Loss) -> dict[str, list[CapturedCall]]:
        """For each chosen weight its calls on this batch; ``loss(outputs, labels)`` returns one value a sample.

        Raises:
            CalibrationError: the network fails on these samples, or draws random numbers; or a weight is never used, or
                also by other means than linear and convolution.
        """
        if not self._probed:
            self._axes, self._probed = sample_axes(self.model, self.names, images), True
        if self._axes is not None:
            return self._read(images, labels, loss, self._axes)
        apart = [
            self._read(images[i : i + 1], None if labels is None else labels[i : i + 1], loss, None)
            for i in range(len(images))
        ]
        return {
            name: [_joined(same) for same in zip(*(calls[name] for calls in apart), strict=True)] for name in apart[0]
        }

    def _read(
        self, images: Batch, labels: torch.Tensor | None, loss: Loss, axes: Sequence[SampleAxis] | None
    ) -> dict[str, list[CapturedCall]]:
        """Calls read for samples along these axes, or for one sample where they are None."""
        self._guard.run(partial(self._differentiate, images, labels, loss))
        if axes is not None and len(self._records) != len(axes):
            raise CalibrationError("The network calls its layers in another order for other samples.")
        for name in self.names:
            if not any(record.graded for record in self._records if record.name == name):
                raise CalibrationError(
                    f"The network calls {name} where torch takes no gradients (no_grad or inference_mode in its "
                    "forward), so it has none. Let the caller decide on that, or keep it dense."
                )
        calls: dict[str, list[CapturedCall]] = defaultdict(list)
        for number, record in enumerate(self._records):
            gradient = record.inputs.new_zeros(record.shape) if record.gradient is None else record.gradient
            calls[record.name].append(_captured(record, gradient, None if axes is None else axes[number]))
        self._records, self._leaves = [], []
        return calls

    def _differentiate(self, images: Batch, labels: torch.Tensor | None, loss: Loss) -> None:
        while True:
            self._records, self._leaves = [], []
            with torch.enable_grad():
                with LayerCalls(self.model, self.names, self._record):
                    outputs = run_batch(self.model, images)
                changed = {number for number, record in enumerate(self._records) if _changed(record)}
                if not changed:
                    break
                self._copied |= changed
        with torch.enable_grad():
            value = loss(outputs, labels).sum()
        if value.requires_grad:
            torch.autograd.grad(value, self._leaves, allow_unused=True)

    def _record(
        self, name: str, form: LayerForm, inputs: torch.Tensor, compute: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        given = inputs.detach()
        if len(self._records) in self._copied:
            given = given.clone()
        record = _Record(name, form, given, changes(given))
        self._records.append(record)
        output = compute()
        record.shape = output.shape
        record.graded = torch.is_grad_enabled()
        if not record.graded:
            return output
        if not output.requires_grad:
            leaf = output.detach().requires_grad_()
            self._leaves.append(leaf)
            output = leaf.clone()  # which the network may change in place
        output.register_hook(partial(_take, record))  # type: ignore[no-untyped-call]
        return output


def _changed(record: _Record) -> bool:
    return changes(record.inputs) != record.version


def _take(record: _Record, gradient: torch.Tensor | None) -> None:
    if gradient is not None:  # as behind an operation that has none
        record.gradient = gradient.detach()


def _captured(record: _Record, gradient: torch.Tensor, axis: SampleAxis | None) -> CapturedCall:
    inputs = record.inputs
    if axis is None:  # all of it is of one sample
        axis = SampleAxis(0, len(inputs))
        if isinstance(record.form, Linear):
            inputs, gradient = (tensor.reshape(1, -1, tensor.shape[-1]) for tensor in (inputs, gradient))
            axis = SampleAxis(0, 1)
    return CapturedCall(record.form, axis.first(inputs), axis.first(gradient), axis.entries)


def _joined(calls: Sequence[CapturedCall]) -> CapturedCall:
    """Calls of several samples joined into one, in their order."""
    inputs, gradients = (
        torch.cat(parts) for parts in zip(*((call.inputs, call.output_gradients) for call in calls), strict=True)
    )
    return CapturedCall(calls[0].form, inputs, gradients, calls[0].entries)
