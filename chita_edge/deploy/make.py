"""The sparse network of a bundle, by either road: pruned in float32, or pruned and rounded to int8 together."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import onnx

import runtimes
from chita_edge.deploy.agreement import check_agreement, check_int8_agreement
from chita_edge.deploy.export import export, export_int8
from chita_edge.deploy.int8_door import as_modules, named_as
from chita_edge.deploy.int8_network import Float32Chosen, Int8Network, make_int8
from chita_edge.deploy.int8_told import tell
from chita_edge.deploy.road import Road, choose_road
from chita_edge.engine.api import prune
from chita_edge.engine.plan import CHANNEL_STRUCTURES, resolve
from chita_edge.engine.threads import torch_threads
from chita_edge.network.inputs import example_of, single
from chita_edge.pruning.journal import FORGETFUL, Journal
from chita_edge.quantization import UnsupportedNetworkError
from chita_edge.shrinking import shrink
from chita_edge.storage.fingerprint import fingerprint
from chita_edge.storage.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from chita_edge.config import BuildConfig, PruneFileConfig
    from chita_edge.deploy.candidates import Candidate
    from chita_edge.deploy.load import Inputs
    from chita_edge.network.inputs import Batch
    from chita_edge.progress import Progress
    from exporters import ExportedLayer
    from runtimes import Target


@dataclass(frozen=True)
class Made:
    """A sparse network, exported, and how it came about.

    Attributes:
        config: as it was resolved: dtype, structure and sparsity.
        model: the file.
        apart: the same with each layer a node of its own, for a profile.
        layers: what became of each.
        check: of the file at a path, on some images: the largest difference from the network by runtime.
        method: by which weights were chosen.
        sparsity: share of zeros among the prunable weights.
        reason: why this dtype.
        int8: of an int8 network, how it came about.
        remarks: sentences about it.
        candidates: networks that were looked at, where it was chosen among some.
    """

    config: BuildConfig
    model: onnx.ModelProto
    apart: onnx.ModelProto
    layers: tuple[ExportedLayer, ...]
    check: Callable[[Path, Batch], dict[str, float]]
    method: str
    sparsity: float
    reason: str
    int8: Int8Network | None = None
    remarks: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()


def make(
    config: BuildConfig, inputs: Inputs, prunable: Sequence[str] | None, *, state_dir: Path | None, progress: Progress
) -> Made:
    """Make the sparse network of a bundle by the road that the configuration takes.

    A network without an integer form becomes float32, unless int8 was asked for.

    Raises:
        ChitaEdgeError: what the roads raise.
    """
    road = choose_road(config, config.export)
    candidates: tuple[Candidate, ...] = ()
    remarks: tuple[str, ...] = ()
    if road.dtype == "int8":
        try:
            found = _int8(config, road, inputs, prunable, state_dir, progress)
            if isinstance(found, Made):
                return found
            road = _after(found)
            candidates, remarks = found.candidates, found.remarks
        except UnsupportedNetworkError as error:
            if road.is_asked:
                raise
            road = Road("float32", config.prune.structure, config.prune.sparsity, f"float32. {error}")
        # What int8 left in the folder is of another computation.
        state_dir = None if state_dir is None else state_dir / "float32"
    made = _floating(config, road, inputs, prunable, state_dir, progress)
    return replace(made, candidates=candidates, remarks=(*made.remarks, *remarks))


def _after(found: Float32Chosen) -> Road:
    """The road of a float32 network that was chosen among candidates."""
    chosen = found.chosen
    faster = all(chosen.predicted <= one.predicted for one in found.candidates if one.dtype == "int8")
    why = "predicted to be the fastest" if faster else "no int8 candidate is accurate enough"
    return Road("float32", chosen.structure, chosen.sparsity, f"float32, {why}.")


def _floating(
    config: BuildConfig,
    road: Road,
    inputs: Inputs,
    prunable: Sequence[str] | None,
    state_dir: Path | None,
    progress: Progress,
) -> Made:
    if road.dtype == "float16" and "values" not in config.export.model_fields_set:
        stored = {"values": "float16", "arithmetic": "float16"}
        config = config.model_copy(update={"export": config.export.model_copy(update=stored)})
    model = inputs.model
    pruned = prune(model, inputs.calibration, config.prune, prunable=prunable, state_dir=state_dir, progress=progress)
    # Whole filters and channels are removed for real; zeros of other structures stay in place.
    smaller = config.prune.structure in CHANNEL_STRUCTURES
    network = shrink(pruned.model, single(inputs.images[:1])) if smaller else pruned.model
    with torch_threads(config.prune.threads):
        exported = export(
            network, config.export, example_input=example_of(inputs.images[:1]), apart=True, sizes=config.inputs
        )
    values = config.export.values
    return Made(
        config=config.model_copy(update={"dtype": road.dtype}),
        model=exported.model,
        apart=exported.apart or exported.model,
        layers=exported.layers,
        check=lambda path, images: check_agreement(pruned.model, path, images, values),
        method=config.prune.method,
        sparsity=pruned.figures.sparsity,
        reason=road.reason,
        remarks=pruned.figures.sentences(),
    )


def _int8(
    config: BuildConfig,
    road: Road,
    inputs: Inputs,
    prunable: Sequence[str] | None,
    state_dir: Path | None,
    progress: Progress,
) -> Made | Float32Chosen:
    target = runtimes.get_target(config.export.target)
    found = compress_int8(config, road, inputs, prunable, target, state_dir=state_dir, progress=progress)
    if isinstance(found, Float32Chosen):
        return found
    structure: dict[str, Any] = {"structure": found.structure}
    structure["sparsity"] = found.sparsity if road.sparsity is None else road.sparsity
    with torch_threads(config.prune.threads):
        exported = export_int8(found, inputs.images[:1], target)
    for written in (exported.model, exported.apart):
        if written is not None:
            named_as(written, inputs.model)
    return Made(
        config=config.model_copy(update={"dtype": "int8", "prune": config.prune.model_copy(update=structure)}),
        model=exported.model,
        apart=exported.apart or exported.model,
        layers=exported.layers,
        check=lambda path, images: check_int8_agreement(found.network, path, images),
        method="together",
        sparsity=found.sparsity,
        reason=road.reason,
        int8=found,
        remarks=found.sentences(),
        candidates=found.candidates,
    )


def compress_int8(
    config: PruneFileConfig,
    road: Road,
    inputs: Inputs,
    prunable: Sequence[str] | None,
    target: Target | None,
    *,
    state_dir: Path | None,
    progress: Progress,
) -> Int8Network | Float32Chosen:
    """Make the int8 network of a configuration; where candidates are tried, costs are those of a target.

    Raises:
        QuantizationError: it has no integer form.
        StateError: the state folder is another run's.
    """
    held_out, given = None, prunable
    inputs = replace(inputs, model=as_modules(inputs.model, inputs.images[:2], is_asked=road.is_asked))
    if prunable is None:
        prunable = resolve(config.prune, inputs.model, sample=inputs.images[:1]).names
    if road.sparsity is None:
        inputs, held_out = inputs.split()
    with torch_threads(config.prune.threads), _journal(state_dir, config, road, inputs) as journal:
        found = make_int8(
            inputs.model,
            inputs.images,
            held_out,
            config,
            road,
            target,
            prunable=prunable,
            journal=journal,
            progress=progress,
        )
        if isinstance(found, Float32Chosen):
            return found
        samples = inputs.calibration if held_out is None else held_out
        told = tell(inputs.model, found.network, samples, config.prune, given, seen=held_out is None)
        return replace(found, told=told)


@contextmanager
def _journal(state_dir: Path | None, config: PruneFileConfig, road: Road, inputs: Inputs) -> Iterator[Journal]:
    """Journal of the state folder; one that keeps nothing where there is none."""
    if state_dir is None:
        yield FORGETFUL
        return
    options: dict[str, Any] = {"structures": road.tried, "distillation": _distillation(config)}
    options |= {"quantize": config.quantize.model_dump(exclude={"max_drop"}), "seed": config.prune.seed}
    known_by = fingerprint(inputs.model, {"images": inputs.images, "road": "int8", **options})
    with StateFolder(state_dir, known_by) as state:
        yield state.journal


def _distillation(config: PruneFileConfig) -> dict[str, Any]:
    return config.prune.model_dump(include={"distill_epochs", "distill_seconds", "distill_rate", "sparsity"})
