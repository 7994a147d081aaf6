"""Doors for a user's data: an npz file, a folder of images, or a data set that the user's code makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chita_edge.datasets.any_npz import read_npz
from chita_edge.datasets.collect import MOST, Collected, collect
from chita_edge.datasets.dataset import LabelledImages
from chita_edge.datasets.errors import DataError
from chita_edge.datasets.image_folder import ImageFolder, find_images
from chita_edge.datasets.items import Signature
from chita_edge.datasets.pictures import Pictures
from chita_edge.datasets.transform import TransformConfig
from chita_edge.network.batch import output_tensors, run_batch
from chita_edge.network.errors import CalibrationError
from chita_edge.network.inputs import beside
from chita_edge.user_code import named_object, names_code, telling

_TRAIN, _TEST = ("calibration", "calib", "train"), ("validation", "val", "test")
_MATRIX = 2


@dataclass(frozen=True)
class OpenedData:
    """A user's samples.

    Attributes:
        calibration: what a network is pruned on, with labels where there are any.
        judging: what networks are judged on.
        seen: whether those are calibration samples, since the data hold no others.
        notes: what was left out, one sentence each.
    """

    calibration: LabelledImages
    judging: LabelledImages
    seen: bool = False
    notes: tuple[str, ...] = ()


def open_data(
    source: str | Path,
    model: nn.Module,
    *,
    validation: str | Path | None = None,
    count: int | None = None,
    seed: int = 0,
    transform: TransformConfig | None = None,
    usual: TransformConfig | None = None,
    judge: int = MOST,
) -> OpenedData:
    """Samples behind one of the doors.

    ``FILE.npz`` (`read_npz`); a folder of images (`find_images`), perhaps with one folder ``train`` or ``calibration``
    and one ``val``, ``validation`` or ``test`` in it; or ``package.module:dataset``, a data set, an iterable, or a
    function that returns one. Only the last runs code of the user's.

    Without validation samples the network is judged on others than it is calibrated on, where there are more.

    Args:
        source: of the calibration samples.
        model: in evaluation mode.
        validation: source of the samples to judge on, likewise.
        count: calibration samples; 1,000, or all there are of fewer, when None.
        seed: of the draw.
        transform: of images.
        usual: the transform where none is given.
        judge: at most so many samples are taken to judge on where they come from a data set without an end.

    Raises:
        DataError: a source is none of these, cannot be read, or does not fit the network; the message names the file or
            the sample.
        UsageError: the user's code fails.
    """
    pictures = Pictures(transform or usual)
    found, own = _opened(source, model, pictures.transform)
    if validation is not None:
        own = _opened(validation, model, pictures.transform)[0]
    drawn = collect(
        found, model, count=_count(found, count), seed=seed, judge=0 if own is not None else judge, pictures=pictures
    )
    _check_runs(drawn, model, source)
    _check_labels(drawn, model)
    notes = _skipped(drawn)
    if transform is not None and not pictures.met and names_code(str(source)):
        notes += ("The table [transform] was not applied: the data set gives tensors, not images.",)
    if own is not None:
        judged = collect(own, model, count=None, seed=seed, pictures=pictures)
        _check_runs(judged, model, source if validation is None else validation)
        _check_labels(judged, model)
        return OpenedData(drawn.calibration, judged.calibration, notes=(*notes, *_skipped(judged)))
    judging = drawn.rest if drawn.rest is not None else drawn.calibration
    return OpenedData(drawn.calibration, judging, seen=drawn.rest is None, notes=notes)


def _opened(source: str | Path, model: nn.Module, transform: TransformConfig | None) -> tuple[Any, Any]:
    """The data behind a source, and the validation data that lie beside them."""
    path = Path(source)
    if path.is_dir():
        inside = {child.name: child for child in path.iterdir() if child.is_dir()}
        train, test = (next((inside[name] for name in names if name in inside), None) for names in (_TRAIN, _TEST))
        folders = (train, test) if train is not None and test is not None else (path, None)
        calibration, validation = (
            None if folder is None else ImageFolder(find_images(folder), transform or TransformConfig())
            for folder in folders
        )
        return calibration, validation
    if names_code(str(source)) and not path.exists():
        made = named_object(str(source), "a data set, or what makes one")
        if callable(made) and (isinstance(made, type) or not isinstance(made, Iterable)):
            with telling(str(source)):
                made = made()
        return made, None
    if not path.exists():
        raise DataError(f"There are no data {source}: give FILE.npz, a folder of images, or package.module:dataset.")
    return read_npz(path, Signature.of(model), transform)


def _count(found: Any, count: int | None) -> int | None:
    """Samples to draw: of arrays that lie in memory 1,000 at most, too."""
    return min(MOST, len(found)) if count is None and isinstance(found, LabelledImages) else count


def _check_runs(drawn: Collected, model: nn.Module, source: str | Path) -> None:
    """Refuse samples that the network does not take, such as those of another number of channels."""
    samples = drawn.calibration.images[:1]
    try:
        with torch.no_grad():
            run_batch(model, beside(model, samples))
    except CalibrationError as error:
        raise DataError(f"The data {source} do not fit: {error}") from error


def _check_labels(drawn: Collected, model: nn.Module) -> None:
    """Refuse whole-number labels of samples that are none of the network's classes."""
    labels, samples = drawn.calibration.labels, drawn.calibration.images
    whole = isinstance(labels, torch.Tensor) and labels.ndim == 1 and not labels.is_floating_point()
    if not whole:
        return
    with torch.no_grad():
        tensors = output_tensors(run_batch(model, beside(model, samples[:1])), 1)
    if len(tensors) != 1 or tensors[0].ndim != _MATRIX:
        return
    classes = max(2, tensors[0].shape[1])
    wrong = ((labels < 0) | (labels >= classes)).nonzero()
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"The label of {drawn.place(first)} is {int(labels[first])}; this network's classes are 0 to {classes - 1}."
        )


def _skipped(drawn: Collected) -> tuple[str, ...]:
    if not drawn.skipped:
        return ()
    return (f"Left out: {len(drawn.skipped)} images that cannot be read. {drawn.skipped[0]}",)
