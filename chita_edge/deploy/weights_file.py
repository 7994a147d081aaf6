"""`chita-edge prune`: from a weights file and images to a weights file with zeros in it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

import exporters
from chita_edge.calibration import ALONE, Ranks
from chita_edge.datasets.transform import TransformConfig
from chita_edge.deploy.doors import Door, open_network, prunable_weights, short_name, suited
from chita_edge.deploy.judge import Judge
from chita_edge.deploy.load import load_inputs
from chita_edge.deploy.metric import ACCURACY, Better, Metric
from chita_edge.engine.api import prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.convert import convert
from chita_edge.engine.methods import get_method
from chita_edge.engine.plan import resolve
from chita_edge.engine.result import PruneFigures
from chita_edge.engine.threads import torch_threads
from chita_edge.errors import UsageError
from chita_edge.models import ModelEntry, load_weights
from chita_edge.models.program import program_bytes
from chita_edge.network.batch import copy_network
from chita_edge.network.rewrite import restored
from chita_edge.progress import Progress, silent
from chita_edge.storage.atomic_file import check_free, write_file
from exporters.interpreter import OnnxNetwork


@dataclass(frozen=True)
class Accuracy:
    """Figures of a metric on the validation samples, before and after."""

    dense: float
    pruned: float


@dataclass(frozen=True)
class PrunedFile:
    """Result of `prune_to_file`; `accuracy` is None where the data hold no validation images.

    `metric` is what its figures are of, `objective` how the outputs of two networks were compared, `notes` what was
    left out of the data.
    """

    model: str
    out: Path
    calibration_images: int
    figures: PruneFigures
    accuracy: Accuracy | None
    metric: Metric = ACCURACY
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings."""
        return {
            "model": self.model,
            "out": str(self.out),
            "calibration_images": self.calibration_images,
            **self.figures.to_json(),
            "accuracy": asdict(self.accuracy) if self.accuracy is not None and self.metric == ACCURACY else None,
            "metric": {"name": self.metric.name, "better": self.metric.better}
            | ({} if self.accuracy is None else asdict(self.accuracy)),
            "notes": list(self.notes),
        }


def prune_to_file(
    model: str,
    out: Path,
    config: PruneConfig,
    *,
    arguments: Mapping[str, Any] | None = None,
    weights: Path | None = None,
    start: Path | None = None,
    data: str | Path | None = None,
    validation: str | Path | None = None,
    calibration_images: int | None = None,
    transform: TransformConfig | None = None,
    metric: str | None = None,
    better: Better = "higher",
    force: bool = False,
    state_dir: Path | None = None,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
) -> PrunedFile | None:
    """Prune a network and write its state dict, with the network's own keys, or its ONNX graph, to `out`.

    Args:
        model: the network, see `chita_edge.deploy.doors.open_network`.
        out: a torch file, or a safetensors file if it is called so, or the program or ONNX graph itself for a network
            that came as such; written in one step at the end.
        config: how to prune.
        arguments: for the function of the user's code that makes the network.
        weights: state dict of the trained network; the embedded one when None.
        start: state dict of the same network pruned already, to be moved into the structure, see
            `chita_edge.engine.convert`; a dense network is pruned when None.
        data: source of samples, see `chita_edge.deploy.load.load_inputs`; the embedded data set when None.
        validation: of those to judge on, likewise.
        calibration_images: how many to draw; 1,000, or all of fewer, when None.
        transform: of images.
        metric: function of outputs and labels that networks are judged by, as ``package.module:function``.
        better: which of its figures are.
        force: replace `out`.
        state_dir: folder that keeps finished work; the same call goes on from there.
        ranks: other processes that do the same with the same arguments, and share the gradients; only the first one
            judges and writes, and the others return None.
        progress: told of every stage.

    Raises:
        UsageError: `out` exists, a name is unknown, or the method needs labels that the data do not hold.
        ChitaEdgeError: a file cannot be read or written, or `prune` fails.
    """
    get_method(config.method)  # said before anything is read
    check_free(out, force)
    entry = open_network(model, weights=weights, arguments=arguments)
    _check_kind(entry, model, out)
    if start is not None and (ranks.size > 1 or state_dir is not None):
        raise UsageError("A conversion (--start) runs in one process and keeps no state; leave out --resume.")
    with torch_threads(config.threads):
        inputs = load_inputs(
            entry,
            weights=weights,
            data=data,
            validation=validation,
            calibration_images=calibration_images,
            seed=config.seed,
            transform=transform,
        )
        config = suited(config, inputs.model)
        prunable = prunable_weights(entry, inputs.model)
        if inputs.labels is None and resolve(config, inputs.model, prunable, sample=inputs.images[:1]).needs_labels:
            raise UsageError(
                f"Gradients of the loss need labels: add y_calib to {data}, or leave out the loss; outputs need none."
            )
        judging = inputs.validation if ranks.leads else None
        judge = (
            None
            if judging is None
            else Judge.of(inputs.model, judging, metric=metric, better=better, kinds=config.distance)
        )
        before = None if judge is None else judge.network(inputs.model, f"{judge.metric.name} before", progress)
        images = inputs.calibration
        if start is None:
            result = prune(
                inputs.model, images, config, prunable=prunable, state_dir=state_dir, ranks=ranks, progress=progress
            )
        else:
            given = _pruned_already(entry, model, start, arguments)
            result = convert(inputs.model, given, images, config, prunable=prunable, progress=progress)
        if not ranks.leads:
            return None
        after = None if judge is None else judge.network(result.model, f"{judge.metric.name} after", progress)
    write_file(out, _network_file(result.model, out, model), force)
    judged = None if before is None or after is None else Accuracy(before, after)
    judged_by = ACCURACY if judge is None else judge.metric
    return PrunedFile(short_name(model), out, len(inputs.images), result.figures, judged, judged_by, inputs.notes)


def _check_kind(entry: Door, model: str, out: Path) -> None:
    """Refuse a file of another kind than the network's."""
    graph = not isinstance(entry, ModelEntry) and isinstance(entry.model, OnnxNetwork)
    if graph != (out.suffix == ".onnx") or (out.suffix == ".pt2" and not model.endswith(".pt2")):
        kind = "an ONNX file, NAME.onnx" if graph else "a state dict, NAME.pt or NAME.safetensors"
        kind += ", or a program, NAME.pt2" if model.endswith(".pt2") else ""
        raise UsageError(f"The network {entry.name!r} is written as {kind}; --out is {out}.")


def _pruned_already(entry: Door, model: str, start: Path, arguments: Mapping[str, Any] | None) -> nn.Module:
    """The network with the weights of ``start``."""
    if isinstance(entry, ModelEntry):
        given = entry.architecture().eval()
        load_weights(given, start)
        return given
    given_as_file = isinstance(entry.model, OnnxNetwork)
    other = open_network(str(start)) if given_as_file else open_network(model, weights=start, arguments=arguments)
    assert not isinstance(other, ModelEntry)  # noqa: S101 (the entry is none)
    return other.model


def _network_file(model: nn.Module, path: Path, source: str) -> bytes:
    if isinstance(model, OnnxNetwork):
        return exporters.to_bytes(model.to_onnx())
    model = copy_network(model)
    restored(model)  # the network's own keys and shapes
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if path.suffix == ".pt2":
        return program_bytes(Path(source), state)
    if path.suffix == ".safetensors":
        return bytes(safetensors.torch.save(state))
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
