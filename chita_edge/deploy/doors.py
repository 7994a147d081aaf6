"""Doors for a network: a registered name, the user's code, a program of torch.export, an ONNX file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from chita_edge.deploy.onnx_door import open_onnx
from chita_edge.deploy.raised import raised
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.methods import get_method
from chita_edge.engine.plan import CHANNEL_STRUCTURES
from chita_edge.errors import UsageError
from chita_edge.models import MODELS, ModelEntry, get_model, load_weights
from chita_edge.models.factory import load_factory
from chita_edge.models.program import ProgramInput, load_program
from chita_edge.network.batch import float32_network, other_types
from chita_edge.network.inputs import Batch, input_tensors, takes_one_sample
from chita_edge.pruning import get_solver
from chita_edge.user_code import names_code
from exporters.interpreter import OnnxNetwork


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """A network that the user brought.

    Attributes:
        name: short, for titles and folders: of the file, or of the function that made it.
        model: trained, in evaluation mode.
        inputs: what is known of its inputs; empty where nothing is.
        notes: what was done to open it, one sentence each.
    """

    name: str
    model: nn.Module
    inputs: tuple[ProgramInput, ...] = ()
    notes: tuple[str, ...] = ()


Door = ModelEntry | OwnNetwork


def open_network(model: str, *, weights: Path | None = None, arguments: Mapping[str, Any] | None = None) -> Door:
    """The network that ``model`` names.

    Args:
        model: a registered name; ``package.module:factory`` or ``path/file.py:factory``, the only door that runs the
            user's code; ``FILE.pt2``; or ``FILE.onnx``.
        weights: state dict for a network of the user's code, or in place of a program's own weights.
        arguments: for the function that makes it.

    Raises:
        UsageError: there is no such network or file, its code fails, or weights or arguments are given to a file.
        WeightsError, ExportError: a file cannot be read.
    """
    path = Path(model)
    if model in MODELS or not (path.suffix in (".onnx", ".pt2") or names_code(model)):
        _refuse(arguments, "--model-arg", f"the registered network {model}")
        if model not in MODELS and path.exists():
            raise UsageError(
                f"{model} is no network: give FILE.onnx, FILE.pt2, path/file.py:factory, or a name of `chita-edge "
                "models`; a state dict goes to --weights."
            )
        return get_model(model)
    if path.suffix in (".onnx", ".pt2") and not names_code(model):
        _refuse(arguments, "--model-arg", model)
        if path.suffix == ".onnx":
            _refuse(weights, "--weights", model)
            network, notes = open_onnx(path)
            own = OwnNetwork(short_name(model), network, notes=notes)
        else:
            program = load_program(path)
            own = _in_float32(OwnNetwork(short_name(model), program.module, program.inputs))
    else:
        own = _in_float32(OwnNetwork(short_name(model), load_factory(model, arguments)))
    if weights is not None:
        own = replace(own, notes=(*own.notes, *load_weights(own.model, weights)))
    with contextlib.suppress(NotImplementedError):  # of a program, which is as it was exported
        own.model.eval()
    return own


def _in_float32(own: OwnNetwork) -> OwnNetwork:
    """The network with numbers of float32, and which other ones it had."""
    others = other_types(own.model)
    return replace(own, model=float32_network(own.model), notes=raised(others)) if others else own


def prunable_weights(door: Door, model: nn.Module) -> tuple[str, ...] | None:
    """Names of the weights of a registered network that are worth pruning; None where layers are looked for."""
    return door.prunable(model) if isinstance(door, ModelEntry) else None


def suited(config: PruneConfig, model: nn.Module) -> PruneConfig:
    """The configuration, with a method that needs no gradients where a network has none.

    Raises:
        UsageError: another method was asked for.
    """
    if not isinstance(model, OnnxNetwork):
        return config
    if config.structure in CHANNEL_STRUCTURES:
        raise UsageError(
            f"The structure {config.structure!r} removes channels from torch networks, and this is an ONNX graph. "
            "Choose another structure, or bring the network in torch."
        )
    if not model.runtime_nodes or not get_solver(get_method(config.method).solver).needs_gradients:
        return config
    if "method" in config.model_fields_set:
        raise UsageError(
            f"The method {config.method!r} takes gradients, and they end at {model.runtime_nodes[0]}, which ONNX "
            "Runtime computes. Use --method reconstruct."
        )
    return config.model_copy(update={"method": "reconstruct"})


def short_name(model: str) -> str:
    """A registered name, a file's without its ending, or that of the function that makes the network."""
    if names_code(model) and model not in MODELS:
        return model.rpartition(":")[2].rpartition(".")[2]
    return Path(model).stem if Path(model).suffix in (".onnx", ".pt2") else model


def settle(model: nn.Module, samples: Batch) -> tuple[str, ...]:
    """Let a network made from a graph find whether it takes several samples at once; a sentence where it does not."""
    if isinstance(model, OnnxNetwork):
        model.settle(*input_tensors(samples))
    if takes_one_sample(model) or getattr(model, "one_at_a_time", False) is True:
        return ("The network's file fixes its batch to one: samples are run one at a time, which is slower.",)
    return ()


def _refuse(value: object, option: str, model: str) -> None:
    if value:
        raise UsageError(f"{option} is for networks that code makes, and {model} holds its own; leave it out.")
