"""Items of a data set: which of their parts are a network's inputs, and which are labels."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from chita_edge.datasets.errors import DataError
from chita_edge.datasets.pictures import Pictures, is_picture

LABELS = ("labels", "label", "targets", "target", "y")
"""Keys of a dict that hold labels."""
_WITH_LABEL = 2
_WHOLE = (torch.int8, torch.int16, torch.uint16, torch.uint32)


@dataclass(frozen=True)
class Signature:
    """Parameters of a network's forward.

    Attributes:
        names: that inputs can be given to by position, in order.
        required: how many of them have no default; None where any number is taken.
        any_name: whether names beside these are taken.
    """

    names: tuple[str, ...]
    required: int | None
    any_name: bool = False

    @classmethod
    def of(cls, model: nn.Module) -> Signature:
        """That of a network; ``input_names`` of a network made from a graph stands for it."""
        declared = getattr(model, "input_names", None)
        if isinstance(declared, list | tuple) and all(isinstance(name, str) for name in declared):
            return cls(tuple(declared), len(declared))
        parameters = list(inspect.signature(model.forward).parameters.values())
        placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        return cls(
            tuple(p.name for p in (*placed, *(p for p in parameters if p.kind is p.KEYWORD_ONLY))),
            None if several else sum(p.default is p.empty for p in placed),
            any(p.kind is p.VAR_KEYWORD for p in parameters),
        )


@dataclass(frozen=True)
class Item:
    """One item, a sample or a batch, as tensors.

    Attributes:
        inputs: what the network takes, in its order.
        names: of forward's parameters, where they were given by name.
        labels: what stands beside the inputs, by name where there are several.
        pictured: whether an input was an image, and the item therefore is a sample.
    """

    inputs: tuple[torch.Tensor, ...]
    names: tuple[str, ...] | None
    labels: torch.Tensor | tuple[torch.Tensor, ...] | Mapping[str, torch.Tensor] | None
    pictured: bool = False

    @property
    def kind(self) -> str:
        """What has to be the same for all items, in words."""
        inputs = " and ".join(self.names) if self.names else f"{len(self.inputs)} input(s)"
        return f"{inputs}, {'without' if self.labels is None else 'with'} labels"


def read_item(item: Any, signature: Signature, where: str, pictures: Pictures | None = None) -> Item:
    """Inputs and labels of an item.

    A tensor is an input. Of a tuple as many entries are inputs as forward requires, and one more holds the labels; of
    (inputs, labels) the inputs may be a tuple or dict themselves. Of a dict those entries are inputs whose keys forward
    takes, and those called ``labels``, ``label``, ``targets``, ``target`` or ``y`` are labels; others are left out.

    Args:
        item: tensors, arrays or numbers within tuples, lists or dicts.
        signature: of the network.
        where: the item is, for messages: "sample 3".
        pictures: makes inputs of images; they are refused when None.

    Raises:
        DataError: it holds something else, or more or fewer parts than the network takes.
    """
    pictures = pictures or Pictures()
    if isinstance(item, Mapping):
        return _of_dict(item, signature, where, pictures)
    if isinstance(item, tuple | list) and not _is_numbers(item):
        if len(item) == _WITH_LABEL and isinstance(item[0], tuple | list | Mapping) and not _is_numbers(item[0]):
            inner = read_item(
                item[0], Signature(signature.names, signature.required, signature.any_name), where, pictures
            )
            return Item(inner.inputs, inner.names, labels_of(item[1], where), inner.pictured)
        return _of_tuple(item, signature, where, pictures)
    return _item((item,), None, None, where, pictures)


def _item(inputs: Collection[Any], names: tuple[str, ...] | None, labels: Any, where: str, pictures: Pictures) -> Item:
    tensors = tuple(to_tensor(pictures(value, where), where) for value in inputs)
    return Item(tensors, names, labels_of(labels, where), any(map(is_picture, inputs)))


def _of_tuple(item: tuple[Any, ...] | list[Any], signature: Signature, where: str, pictures: Pictures) -> Item:
    count, needed = len(item), signature.required
    taken = max(1, count - 1) if needed is None else needed
    most = len(signature.names) if needed is not None else count
    if count == 1 or count == taken:
        inputs, labels = item, None
    elif count == taken + 1 or taken < count <= most + 1:
        inputs, labels = item[:-1], item[-1]
    else:
        raise DataError(
            f"The data's {where} is a tuple of {count}; the network takes {taken} inputs"
            f"{f' ({chr(44).join(signature.names[:taken])})' if signature.names else ''}, and labels may follow them. "
            "Give such tuples, (inputs, labels), or dicts by the names of forward's parameters."
        )
    return _item(inputs, None, labels, where, pictures)


def _of_dict(item: Mapping[Any, Any], signature: Signature, where: str, pictures: Pictures) -> Item:
    parts = {key: value for key, value in item.items() if key not in LABELS}
    inputs = {name: parts[name] for name in signature.names if name in parts}
    if signature.any_name:
        inputs |= {key: value for key, value in parts.items() if _is_array(value)}
    missing = [name for name in signature.names[: signature.required or 0] if name not in inputs]
    arrays = [value for value in parts.values() if _is_array(value)]
    if len(missing) == 1 and len(arrays) == 1 and not inputs:  # {"image": …} for forward(x)
        inputs, missing = {missing[0]: arrays[0]}, []
    if missing or not inputs:
        raise DataError(
            f"The data's {where} is a dict of {', '.join(map(str, item)) or 'nothing'}; the network takes "
            f"{', '.join(signature.names) or 'no names'}. Name the inputs as forward does."
        )
    labels = {key: item[key] for key in LABELS if key in item}
    found = next(iter(labels.values())) if labels else None
    return _item(inputs.values(), tuple(inputs) if len(inputs) > 1 else None, found, where, pictures)


def _is_array(value: Any) -> bool:
    return isinstance(value, torch.Tensor | np.ndarray) or is_picture(value)


def labels_of(found: Any, where: str) -> Any:
    """Labels as tensors, in the containers that they came in."""
    if found is None:
        return None
    if isinstance(found, Mapping):
        return {str(key): _label(value, where) for key, value in found.items()}
    if isinstance(found, tuple | list) and not _is_numbers(found):
        return tuple(_label(value, where) for value in found)
    return _label(found, where)


def _label(value: Any, where: str) -> torch.Tensor:
    """Floating as it is, whole numbers as int64."""
    if is_picture(value):
        raise DataError(f"The data's {where} has an image as its label. Give class numbers, one a pixel, as a tensor.")
    tensor = to_tensor(value, where)
    return tensor if tensor.is_floating_point() else tensor.to(torch.int64)


def to_tensor(value: Any, where: str) -> torch.Tensor:
    """A tensor of float32, int64, int32, uint8 or bool from a tensor, an array, a number or lists of numbers."""
    try:
        tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError):
        raise DataError(
            f"The data's {where} holds {type(value).__name__}, which is no tensor, array or number. Convert it in the "
            "data set, for images with the table [transform]."
        ) from None
    if tensor.layout != torch.strided:
        raise DataError(f"The data's {where} holds a sparse tensor; give it as to_dense() makes it.")
    if tensor.is_complex():
        raise DataError(f"The data's {where} holds complex numbers, which no layer of ours takes.")
    if tensor.dtype in _WHOLE:
        return tensor.to(torch.int64)
    return tensor.detach().float() if tensor.is_floating_point() else tensor


def _is_numbers(values: Any) -> bool:
    """Whether a list is one of numbers, or of such lists, and so a tensor."""
    while isinstance(values, list) and values:
        values = values[0]
    return isinstance(values, int | float) and not isinstance(values, bool)
