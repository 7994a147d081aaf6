"""Weights of a network: which of them linear layers and convolutions multiply by, and why the others stay dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from chita_edge.network.batch import output_tensors, run_batch
from chita_edge.network.calls import LayerCalls
from chita_edge.network.inputs import input_tensors
from chita_edge.network.layer import Convolution, Linear

if TYPE_CHECKING:
    from collections.abc import Callable

    from chita_edge.network.inputs import Batch
    from chita_edge.network.layer import LayerForm

_MATRIX = 2
_OWNERS: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], str], ...] = (
    ((nn.Embedding, nn.EmbeddingBag), "an embedding is looked up, not multiplied by"),
    (nn.RNNBase, "the runtime multiplies by a recurrent layer's weights inside one op"),
    ((nn.LSTMCell, nn.GRUCell, nn.RNNCell), "a recurrent cell multiplies by its weights inside one function"),
    (nn.Conv3d, "there is no sparse kernel in three dimensions"),
    (
        (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        "a transposed convolution, unless its kernel equals its stride, has no sparse kernel",
    ),
)


@dataclass(frozen=True)
class Weight:
    """One weight tensor of a network.

    Attributes:
        name: as ``named_parameters`` has it; of a shared weight the first of its names.
        shape: of the tensor.
        owner: class of the module that holds it.
        kind: "linear", "convolution", "depthwise" or, where no such layer multiplies by it, "other".
        obstacle: why it cannot be pruned; empty where it can.
        first: whether it belongs to the first layer behind an input.
        head: whether it belongs to the last layer, which makes the only output.
    """

    name: str
    shape: tuple[int, ...]
    owner: str
    kind: str
    obstacle: str = ""
    first: bool = False
    head: bool = False


def find_weights(model: nn.Module, sample: Batch) -> tuple[Weight, ...]:
    """All weight tensors of a network, in its order; vectors, such as biases and scales, are left out.

    Found by running one sample and seeing what multiplies by which parameter, so that no kind of module is assumed.

    Args:
        model: in evaluation mode.
        sample: one, or some.

    Raises:
        CalibrationError: the network fails on the sample.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.ndim >= _MATRIX]
    forms: dict[str, LayerForm] = {}
    firsts: set[str] = set()
    order: list[str] = []
    given = {tensor.untyped_storage().data_ptr() for tensor in input_tensors(sample) if tensor.is_floating_point()}
    alone = bool(given) and len(input_tensors(sample)) == 1
    last: torch.Tensor | None = None

    def see(name: str, form: LayerForm, inputs: torch.Tensor, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        nonlocal last
        # Of a single input the first call is meant even where something, such as padding, stands before it.
        if inputs.untyped_storage().data_ptr() in given or (alone and not order):
            firsts.add(name)
        forms.setdefault(name, form)
        order.append(name)
        last = compute()
        return last

    with torch.no_grad(), LayerCalls(model, names, see) as calls:
        outputs = output_tensors(run_batch(model, sample), len(sample))
    head = order[-1] if order and len(outputs) == 1 and _makes(last, outputs[0]) and len(set(order)) > 1 else None
    return tuple(
        _weight(model, name, forms.get(name), calls.elsewhere.get(name), name in firsts, name == head) for name in names
    )


def _weight(
    model: nn.Module, name: str, form: LayerForm | None, elsewhere: str | None, first: bool, head: bool
) -> Weight:
    owner = model.get_submodule(name.rpartition(".")[0])
    shape = tuple(model.get_parameter(name).shape)
    kind, obstacle = "other", ""
    if isinstance(form, Linear):
        kind = "linear"
    elif isinstance(form, Convolution):
        kind = "depthwise" if form.groups > 1 and shape[1] == 1 else "convolution"
    if form is None:
        known = (reason for kinds, reason in _OWNERS if isinstance(owner, kinds))
        used = f"{elsewhere} reads it, no linear layer or convolution" if elsewhere else "the network never uses it"
        obstacle = next(known, used)
    elif elsewhere is not None:
        obstacle = f"{elsewhere} reads it too"
    return Weight(name, shape, type(owner).__name__, kind, obstacle, first, head)


def _makes(last: torch.Tensor | None, output: torch.Tensor) -> bool:
    """Whether the last layer makes the output: answers as many numbers a position, whatever squashes them."""
    return last is not None and last.numel() == output.numel()
