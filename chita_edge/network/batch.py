"""A batch of samples through a network: copies to run, checks of what goes in, tensors that come out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch

from chita_edge.network.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.network.inputs import Batch, call, described, input_tensors

if TYPE_CHECKING:
    from torch import nn

_WHOLE = (torch.int32, torch.int64, torch.bool)


def copy_network(model: nn.Module) -> nn.Module:
    """A deep copy; activations that a module keeps are copied without the graph that made them.

    Of a network that ``torch.compile`` has wrapped it is the network inside, which is what can be changed.

    Raises:
        CalibrationError: a module holds something that cannot be copied.
    """
    model = getattr(model, "_orig_mod", model)
    kept: dict[int, Any] = {}
    for module in model.modules():
        for tensor in _tensors(vars(module), activations=True):
            kept[id(tensor)] = tensor.detach()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch, about parts of programs of its own
            return copy.deepcopy(model, kept)
    except Exception as error:  # whatever the copying of a user's attributes runs into
        raise CalibrationError(
            f"The network {type(model).__name__} cannot be copied ({_first_line(error)}). Remove what its modules keep "
            "beside parameters and buffers."
        ) from error


def float32_network(model: nn.Module) -> nn.Module:
    """The network itself, or a copy in float32 where it holds numbers of another precision.

    Raises:
        CalibrationError: it holds complex numbers, or cannot be copied.
    """
    model = getattr(model, "_orig_mod", model)
    held = {tensor.dtype for tensor in (*model.parameters(), *model.buffers())}
    if any(dtype.is_complex for dtype in held):
        raise CalibrationError(f"The network {type(model).__name__} holds complex numbers, which cannot be pruned.")
    if all(dtype == torch.float32 or not dtype.is_floating_point for dtype in held):
        return model
    return copy_network(model).float()


def other_types(model: nn.Module) -> tuple[str, ...]:
    """Floating types of a network's parameters and buffers other than float32."""
    tensors = (*model.parameters(), *model.buffers())
    held = {tensor.dtype for tensor in tensors if tensor.is_floating_point()} - {torch.float32}
    return tuple(sorted(str(dtype).removeprefix("torch.") for dtype in held))


def output_tensors(outputs: Any, samples: int) -> tuple[torch.Tensor, ...]:
    """The floating tensors that a network answered with: one, or those of a tuple, a list, a dict or a dataclass.

    Raises:
        CalibrationError: there is none, or one whose first dimension is not the batch of ``samples``.
    """
    found = tuple(tensor for tensor in _tensors(outputs) if tensor.is_floating_point())
    if not found:
        raise CalibrationError(f"The network answers with {type(outputs).__name__}, which holds no floating tensor.")
    for tensor in found:
        if not tensor.ndim or len(tensor) != samples:
            raise CalibrationError(
                f"The network answers {samples} samples with a tensor of shape {tuple(tensor.shape)}, whose first "
                "dimension is not that of the samples. Let its forward return raw outputs, one entry a sample."
            )
    return found


def all_tensors(outputs: Any) -> tuple[torch.Tensor, ...]:
    """All tensors that a network answered with, floating or not, in their order."""
    return tuple(_tensors(outputs))


def run_batch(model: nn.Module, batch: Batch) -> Any:
    """Outputs of the network.

    Raises:
        CalibrationError: its forward fails on this batch; the message says with what.
    """
    try:
        return call(model, batch)
    except (CalibrationError, MemoryError, Warning):
        raise
    except Exception as error:  # a user's forward raises what it likes
        raise CalibrationError(
            f"The network {type(model).__name__} fails on {described(batch)}: {_first_line(error)}. Give it the "
            "samples that it was trained on."
        ) from error


def changes(tensor: torch.Tensor) -> int | None:
    """Number of changes in place of a tensor's numbers; None where torch does not count them, in inference mode."""
    return None if tensor.is_inference() else tensor._version


def check_weights(model: nn.Module) -> None:
    """Raise for NaN or infinity in parameters and buffers, and for tensors on another device.

    Raises:
        CalibrationError: a tensor is on another device.
        NonFiniteCalibrationError: the message names the tensor and where in it the first such value is.

    """
    first = None
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        first = first or tensor.device
        if tensor.device.type == "meta" or tensor.device != first:
            raise CalibrationError(
                f"The network's {name} is on the device {tensor.device}, its first tensor on {first}. "
                "Load its weights, and move it to one device."
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            where = (~torch.isfinite(tensor.detach())).nonzero()[0].tolist()
            raise NonFiniteCalibrationError(
                f"The network's {name} holds {float(tensor.detach()[tuple(where)])} at {where}. "
                "A network with non-finite weights cannot be pruned; load a sound checkpoint."
            )


def check_images(images: Batch, labels: Batch | None) -> None:
    """Refuse samples and labels that do not fit each other, none at all, and values that are NaN or infinite.

    Samples are floating tensors or whole numbers, such as token ids: int32, int64 or bool. Those of uint8 are pixels
    that nobody has normalised, and refused.

    Raises:
        CalibrationError: wrong type or count.
        NonFiniteCalibrationError: the message names the sample.

    """
    for tensor in input_tensors(images):
        _check_input(tensor)
    if labels is None:
        return
    if not isinstance(labels, torch.Tensor):
        if len(labels) != len(images):
            raise CalibrationError(f"{len(images)} calibration samples came with {len(labels)} labels.")
        return
    if not (labels.dtype == torch.int64 or labels.is_floating_point()) or labels.shape[:1] != (len(images),):
        raise CalibrationError(
            f"Calibration needs one int64 label an image, or float targets: {len(images)} images came with labels "
            f"{labels.dtype} of shape {tuple(labels.shape)}."
        )


def _check_input(tensor: torch.Tensor) -> None:
    if tensor.device.type == "meta":
        raise CalibrationError("The calibration images are on the device meta, which holds no numbers.")
    known = tensor.is_floating_point() or tensor.dtype in _WHOLE
    if not known or not tensor.ndim or not len(tensor):
        raise CalibrationError(
            "Calibration needs a float tensor with at least one image, or whole numbers of int32, int64 or bool, such "
            f"as token ids, not {tensor.dtype} of shape {tuple(tensor.shape)}."
        )
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor.sum())):
        bad = (~torch.isfinite(tensor)).reshape(len(tensor), -1).any(1).nonzero()
        if len(bad):
            raise NonFiniteCalibrationError(f"Calibration sample {int(bad[0])} holds values that are not finite.")


def _tensors(values: Any, *, activations: bool = False) -> Iterator[torch.Tensor]:
    """Tensors within containers; if ``activations``, those alone that autograd has computed."""
    if isinstance(values, torch.Tensor):
        if not activations or not values.is_leaf:
            yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _tensors(value, activations=activations)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value, activations=activations)
    elif is_dataclass(values) and not isinstance(values, type):
        for field in fields(values):
            yield from _tensors(getattr(values, field.name), activations=activations)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
