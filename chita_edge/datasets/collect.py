"""Calibration samples from whatever holds a user's data: a tensor, a data set, a loader, any iterable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset as TorchDataset

from chita_edge.datasets.dataset import LabelledImages
from chita_edge.datasets.errors import DamagedImageError, DataError
from chita_edge.datasets.image_folder import ImageFolder
from chita_edge.datasets.items import Item, Signature, read_item
from chita_edge.datasets.pictures import Pictures
from chita_edge.network.batch import run_batch
from chita_edge.network.errors import CalibrationError
from chita_edge.network.inputs import Batch, SeveralInputs, beside

MOST = 1000
"""Samples that are taken of a data set where nobody says how many."""
_MOST_DAMAGED = 10


@dataclass(frozen=True)
class Collected:
    """Samples of a user's data.

    Attributes:
        calibration: what a network is pruned on.
        rest: samples that were not drawn, to judge on; None where there are none or nobody asked.
        places: names of the calibration samples, where each was an item of its own.
        skipped: sentences about images that could not be read and were left out.
    """

    calibration: LabelledImages
    rest: LabelledImages | None = None
    places: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def place(self, sample: int) -> str:
        """Where a calibration sample came from, for messages."""
        return self.places[sample] if sample < len(self.places) else f"sample {sample}"


def collect(
    data: Any,
    model: nn.Module,
    *,
    count: int | None = None,
    seed: int = 0,
    judge: int = 0,
    pictures: Pictures | None = None,
) -> Collected:
    """Samples of a user's data as tensors, and their labels where they have any.

    A tensor holds samples, and so does `LabelledImages`. A `torch.utils.data.Dataset` has one sample an item; ``count``
    of them are drawn. Any other iterable, such as a `DataLoader`, has a batch an item, or a sample where labels are
    single numbers or the network takes items one at a time only; the first ``count`` samples are taken, so that an
    endless one serves. `read_item` says which part of an item is what.

    Args:
        data: a tensor, `LabelledImages`, data set or iterable.
        model: in evaluation mode; its forward says what inputs are.
        count: of samples; 1,000, or all there are of fewer, when None; all of a tensor.
        seed: of the draw.
        judge: at most so many more samples, to judge on, where there are any.
        pictures: makes inputs of images of Pillow; they are refused when None.

    Raises:
        DataError: there are fewer samples than asked for, none at all, or an item that does not fit the network or the
            others; the message says which.
    """
    if isinstance(data, torch.Tensor | SeveralInputs):
        data = LabelledImages(data)
    if isinstance(data, LabelledImages):
        return _drawn(data, count, seed, judge)
    if isinstance(data, str | bytes) or not (isinstance(data, Iterable) or hasattr(data, "__getitem__")):
        raise DataError(
            f"Calibration data are of type {type(data).__name__}; give a tensor, a torch Dataset, a DataLoader or an "
            "iterable of tensors, tuples or dicts."
        )
    signature, pictures = Signature.of(model), pictures or Pictures()
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Mapping):
        samples = isinstance(data, TorchDataset)
        if samples or _one_at_a_time(data, signature, model, pictures):
            return _of_data_set(data, signature, count, seed, judge, pictures)
    return _of_iterable(data, signature, model, count, judge, pictures)


def _drawn(data: LabelledImages, count: int | None, seed: int, judge: int) -> Collected:
    if count is None:
        return Collected(data)
    _check_count(count, len(data))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    rest = order[count : count + judge]
    return Collected(data[order[:count]], data[rest] if len(rest) else None)


def _of_data_set(
    data: Any, signature: Signature, count: int | None, seed: int, judge: int, pictures: Pictures
) -> Collected:
    available = len(data)
    wanted = min(MOST, available) if count is None else count
    _check_count(wanted, available)
    items, places, skipped = list[Item](), list[str](), list[str]()
    for index in torch.randperm(available, generator=torch.Generator().manual_seed(seed)).tolist():
        place = data.place(index) if isinstance(data, ImageFolder) else f"sample {index}"
        try:
            items.append(read_item(_got(data, index), signature, place, pictures))
        except DamagedImageError as error:
            skipped.append(str(error))
            if len(skipped) > max(_MOST_DAMAGED, len(items) // _MOST_DAMAGED):
                raise DataError(f"{len(skipped)} images cannot be read, the last: {error}") from None
            continue
        places.append(place)
        if len(items) == wanted + judge:
            break
    if not items or (count is not None and len(items) < count):
        raise DataError(
            f"{len(items)} samples can be read of the {wanted} that are asked for; {skipped[0] if skipped else ''}"
        )
    wanted = min(wanted, len(items))
    whole = _joined(items, places, torch.stack)
    rest = whole[wanted:] if len(whole) > wanted else None
    return Collected(whole[:wanted], rest, tuple(places[:wanted]), tuple(skipped))


def _of_iterable(
    data: Any, signature: Signature, model: nn.Module, count: int | None, judge: int, pictures: Pictures
) -> Collected:
    wanted = MOST if count is None else count
    items, places, held, samples = list[Item](), list[str](), 0, None
    for number, raw in enumerate(_each(data)):
        item = read_item(raw, signature, f"item {number}", pictures)
        samples = _is_sample(item, model) if samples is None else samples
        items.append(item)
        places.append(f"item {number}")
        held += 1 if samples else len(item.inputs[0]) if item.inputs[0].ndim else 0
        if held >= wanted + judge:
            break
    if not items:
        raise DataError("The data hold no samples: the iterable ended at once. Was it used up before?")
    whole = _joined(items, places, torch.stack if samples else torch.cat)
    if count is not None and len(whole) < count:
        raise DataError(f"The data end after {len(whole)} samples; {count} calibration samples are asked for.")
    calibration = whole[:wanted]
    return Collected(calibration, whole[wanted : wanted + judge] if len(whole) > wanted else None)


def _each(data: Any) -> Iterator[Any]:
    number = 0
    try:
        for item in data:
            yield item
            number += 1
    except DataError:
        raise
    except Exception as error:  # a user's code raises what it likes
        raise DataError(f"The data's item {number} cannot be read: {_told(error)}.") from error


def _got(data: Any, index: int) -> Any:
    try:
        return data[index]
    except DataError:
        raise
    except Exception as error:  # a user's code raises what it likes
        raise DataError(f"The data's sample {index} cannot be read: {_told(error)}.") from error


def _one_at_a_time(data: Any, signature: Signature, model: nn.Module, pictures: Pictures) -> bool:
    """Whether a sequence has a sample an entry."""
    return len(data) > 0 and _is_sample(read_item(_got(data, 0), signature, "item 0", pictures), model)


def _is_sample(item: Item, model: nn.Module) -> bool:
    """Whether an item is a sample: an image, one of a single number as its label, or what the network takes alone."""
    if item.pictured:
        return True
    if isinstance(item.labels, torch.Tensor):
        if not item.labels.ndim:
            return True
        if item.inputs[0].shape[:1] == item.labels.shape[:1]:
            return False
    return not _runs(model, _batch(item.inputs, item.names)) and _runs(
        model, _batch(tuple(tensor[None] for tensor in item.inputs), item.names)
    )


def _runs(model: nn.Module, batch: Batch | None) -> bool:
    if batch is None:
        return False
    try:
        with torch.no_grad():
            run_batch(model, beside(model, batch))
    except CalibrationError:
        return False
    return True


def _batch(tensors: tuple[torch.Tensor, ...], names: tuple[str, ...] | None) -> Batch | None:
    if len(tensors) == 1:
        return tensors[0]
    try:
        return SeveralInputs(tensors, names)
    except CalibrationError:
        return None


def _joined(items: list[Item], places: list[str], join: Any) -> LabelledImages:
    """All items in one; ``join`` stacks samples or concatenates batches."""
    first = items[0]
    for item, place in zip(items, places, strict=True):
        if item.kind != first.kind:
            raise DataError(f"The data's {place} holds {item.kind}; {places[0]} held {first.kind}. Give items alike.")
    tensors = tuple(
        _joined_tensors([item.inputs[number] for item in items], places, join) for number in range(len(first.inputs))
    )
    _check_finite(tensors, items, places, join is torch.stack)
    inputs = _batch(tensors, first.names)
    if inputs is None:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise DataError(f"The network's inputs have to hold equally many samples; they are of shape {shapes}.")
    return LabelledImages(inputs, _joined_labels(items, places, join))


def _joined_labels(items: list[Item], places: list[str], join: Any) -> Any:
    first = items[0].labels
    if first is None:
        return None
    if isinstance(first, torch.Tensor):
        return _joined_tensors([item.labels for item in items], places, join)
    keys = tuple(first) if isinstance(first, Mapping) else range(len(first))
    try:
        parts = tuple(_joined_tensors([item.labels[key] for item in items], places, join) for key in keys)  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        raise DataError("The data's labels are not all of the same kind. Give items alike.") from None
    return SeveralInputs(parts, tuple(first) if isinstance(first, Mapping) else None)


def _joined_tensors(tensors: list[Any], places: list[str], join: Any) -> torch.Tensor:
    skip = 0 if join is torch.stack else 1
    for tensor, place in zip(tensors, places, strict=True):
        alike = isinstance(tensor, torch.Tensor) and (tensor.shape[skip:], tensor.dtype) == (
            tensors[0].shape[skip:],
            tensors[0].dtype,
        )
        if not alike or tensor.ndim < skip:
            told = f"{tensor.dtype} of shape {tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else "no tensor"
            raise DataError(
                f"The data's {place} is {told}; {places[0]} is {tensors[0].dtype} of shape {tuple(tensors[0].shape)}. "
                "Samples have to be of one size: pad, crop or resize them."
            )
    joined: torch.Tensor = join(tensors)
    return joined


def _check_finite(tensors: tuple[torch.Tensor, ...], items: list[Item], places: list[str], samples: bool) -> None:
    for number, tensor in enumerate(tensors):
        if not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
            continue
        for item, place in zip(items, places, strict=True):
            bad = ~torch.isfinite(item.inputs[number])
            if bool(bad.any()):
                within = "" if samples else f", its sample {int(bad.nonzero()[0, 0])},"
                raise DataError(f"The data's {place}{within} holds NaN or infinite values.")


def _check_count(wanted: int, available: int) -> None:
    if not available:
        raise DataError("The data hold no samples.")
    if not 1 <= wanted <= available:
        raise DataError(f"The data hold {available} samples, {wanted} calibration samples cannot be drawn from them.")


def _told(error: BaseException) -> str:
    text = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
    return f"{type(error).__name__}: {text}"
