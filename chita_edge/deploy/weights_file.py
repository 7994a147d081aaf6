"""`chita-edge prune`: from a weights file and images to a weights file with zeros in it."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from chita_edge.calibration import ALONE, Ranks
from chita_edge.datasets import LabelledImages
from chita_edge.deploy.load import load_inputs
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.convert import convert
from chita_edge.engine.methods import get_method
from chita_edge.engine.plan import resolve
from chita_edge.engine.result import PruneFigures
from chita_edge.engine.threads import torch_threads
from chita_edge.errors import UsageError
from chita_edge.models import get_model, load_weights
from chita_edge.network.inputs import call
from chita_edge.progress import Progress, silent
from chita_edge.storage.atomic_file import check_free, write_file

_BATCH = 100


@dataclass(frozen=True)
class Accuracy:
    """Share of the validation images that a network classifies as labelled, before and after."""

    dense: float
    pruned: float


@dataclass(frozen=True)
class PrunedFile:
    """Result of `prune_to_file`; `accuracy` is None where the data hold no validation images."""

    model: str
    out: Path
    calibration_images: int
    figures: PruneFigures
    accuracy: Accuracy | None

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings."""
        return {
            "model": self.model,
            "out": str(self.out),
            "calibration_images": self.calibration_images,
            **self.figures.to_json(),
            "accuracy": None if self.accuracy is None else asdict(self.accuracy),
        }


def prune_to_file(
    model: str,
    out: Path,
    config: PruneConfig,
    *,
    weights: Path | None = None,
    start: Path | None = None,
    data: Path | None = None,
    calibration_images: int | None = None,
    force: bool = False,
    state_dir: Path | None = None,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
) -> PrunedFile | None:
    """Prune a registered network and write its state dict, with the network's own keys, to `out`.

    Args:
        model: name of the network.
        out: a torch file, or a safetensors file if it is called so; written in one step at the end.
        config: how to prune.
        weights: state dict of the trained network; the embedded one when None.
        start: state dict of the same network pruned already, to be moved into the structure, see
            `chita_edge.engine.convert`; a dense network is pruned when None.
        data: npz with images, see `chita_edge.datasets.load_user_data`; the embedded data set when None.
        calibration_images: how many to draw; 1,000, or all of fewer, when None.
        force: replace `out`.
        state_dir: folder that keeps finished work; the same call goes on from there.
        ranks: other processes that do the same with the same arguments, and share the gradients; only the first one
            judges and writes, and the others return None.
        progress: told of every stage.

    Raises:
        UsageError: `out` exists, a name is unknown, or the method needs labels that the data do not hold.
        ChitaEdgeError: a file cannot be read or written, or `prune` fails.
    """
    entry = get_model(model)
    get_method(config.method)  # said before anything is read
    check_free(out, force)
    if start is not None and (ranks.size > 1 or state_dir is not None):
        raise UsageError("A conversion (--start) runs in one process and keeps no state; leave out --resume.")
    with torch_threads(config.threads):
        inputs = load_inputs(entry, weights=weights, data=data, calibration_images=calibration_images, seed=config.seed)
        prunable = entry.prunable(inputs.model)
        if inputs.labels is None and resolve(config, inputs.model, prunable, labelled=False).needs_labels:
            raise UsageError(
                f"Gradients of the loss need labels: add y_calib to {data}, or leave out the loss; outputs need none."
            )
        judging = inputs.validation if ranks.leads else None
        before = _accuracy(inputs.model, judging, "accuracy before", progress)
        images = inputs.calibration
        if start is None:
            result = prune(
                inputs.model, images, config, prunable=prunable, state_dir=state_dir, ranks=ranks, progress=progress
            )
        else:
            given = entry.architecture().eval()
            load_weights(given, start)
            result = convert(inputs.model, given, images, config, prunable=prunable, progress=progress)
        if not ranks.leads:
            return None
        after = _accuracy(result.model, judging, "accuracy after", progress)
    write_file(out, _state_dict_file(result.model, out), force)
    judged = None if before is None or after is None else Accuracy(before, after)
    return PrunedFile(model, out, len(inputs.images), result.figures, judged)


def _accuracy(model: nn.Module, data: LabelledImages | None, stage: str, progress: Progress) -> float | None:
    if data is None or data.labels is None:
        return None
    right = 0
    progress(stage, 0, len(data))
    with torch.inference_mode():
        for start in range(0, len(data), _BATCH):
            predicted = call(model, data.images[start : start + _BATCH]).argmax(1)
            right += int((predicted == data.labels[start : start + _BATCH]).sum())
            progress(stage, min(start + _BATCH, len(data)), len(data))
    return right / len(data)


def _state_dict_file(model: nn.Module, path: Path) -> bytes:
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    if path.suffix == ".safetensors":
        return bytes(safetensors.torch.save(state))
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
