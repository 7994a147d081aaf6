"""Run a network and read off, for chosen layers, the input and the loss's gradient by the output."""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from chita_edge.calibration.errors import CalibrationError
from chita_edge.calibration.layer_gradients import check_supported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Tapped:
    """One call of one layer on a batch: its input and the summed loss's gradient by its output."""

    inputs: torch.Tensor
    output_gradients: torch.Tensor


class TappedNetwork:
    """A private copy of a network in evaluation mode whose chosen layers, named by their weights, can be read.

    Each chosen layer's output gets a zero added, its *tap*; `torch.func.grad` by the taps gives the output gradients of
    all layers in one backward pass, and because BN is in evaluation mode no sample touches another one.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        for module in self.model.modules():
            if hasattr(module, "inplace"):
                module.inplace = cast("Any", False)  # a layer's input must still be what the layer saw when it is read
        self.layers: dict[str, nn.Module] = {}
        modules = dict(self.model.named_modules())
        for name in names:
            layer = modules.get(name.removesuffix(".weight"))
            if layer is None or not name.endswith(".weight"):
                raise CalibrationError(f"The network has no layer with a weight {name}.")
            check_supported(name, layer)
            self.layers[name] = layer
            layer.register_forward_hook(self._hook(name))
        self._taps: dict[str, torch.Tensor] | None = None
        self._inputs: dict[str, torch.Tensor] = {}
        self._calls: dict[str, int] = defaultdict(int)
        self._shapes: dict[str, torch.Size] = {}

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], torch.Tensor], torch.Tensor]:
        def read(module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            del module
            key = f"{name}#{self._calls[name]}"
            self._calls[name] += 1
            if self._taps is None:
                self._shapes[key] = output.shape[1:]
                return output
            self._inputs[key] = arguments[0]
            return output + self._taps[key]

        return read

    def _forward(self, images: torch.Tensor, taps: dict[str, torch.Tensor] | None) -> torch.Tensor:
        self._taps, self._inputs = taps, {}
        self._calls.clear()
        output: torch.Tensor = self.model(images)
        return output

    def read(self, images: torch.Tensor, labels: torch.Tensor, loss: Loss) -> dict[str, list[Tapped]]:
        """For each chosen layer its calls on this batch; ``loss(logits, labels)`` returns one value a sample."""
        if not self._shapes:
            with torch.no_grad():
                self._forward(images[:1], None)
            missing = [name for name in self.layers if not self._calls[name]]
            if missing:
                raise CalibrationError(f"The network never uses {missing[0]}, so it has no gradient. Keep it dense.")

        def total(taps: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            value = loss(self._forward(images, taps), labels).sum()
            return value, dict(self._inputs)

        taps = {key: images.new_zeros((len(images), *shape)) for key, shape in self._shapes.items()}
        gradients, inputs = torch.func.grad(total, has_aux=True)(taps)
        self._inputs = {}
        calls: dict[str, list[Tapped]] = defaultdict(list)
        for key, gradient in gradients.items():
            calls[key.rpartition("#")[0]].append(Tapped(inputs[key], gradient))
        return calls
