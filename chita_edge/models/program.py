"""A network in a file of ``torch.export.save``, read without trusting the file."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chita_edge.models.checkpoints import WeightsError
from chita_edge.models.program_checks import check_archive


@dataclass(frozen=True)
class ProgramInput:
    """One input of a program.

    Attributes:
        name: as the program's forward calls it.
        shape: sizes, a name for each that is open.
        dtype: of its numbers.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Program:
    """A network that torch.export has written, as a module that can be run, changed and exported again."""

    module: nn.Module
    inputs: tuple[ProgramInput, ...]


def load_program(path: Path) -> Program:
    """Read the program in ``path``.

    torch.export.load runs code that a file brings: pickled tensors and objects, expressions of sizes, guards, and any
    function below ``torch``. What is opened here holds plain tensors, operators of ATen and arithmetic on sizes alone;
    `chita_edge.models.program_checks` looks at every word of the file before torch does.

    Raises:
        WeightsError: the file is missing, damaged or larger than it says, or holds more than that.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The program {path} cannot be read: {error.strerror}.") from None
    check_archive(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            exported = torch.export.load(io.BytesIO(data))
            # Guards are Python text in the file, which torch would run.
            module: nn.Module = exported.module(check_guards=False)
    except Exception as error:  # torch raises whatever its readers meet in a damaged file
        text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise WeightsError(f"torch cannot read the program {path}: {text}. Export it again.") from None
    inputs = _inputs(exported, path)
    # Copies of a graph module keep this, and no other attribute.
    module.meta = {"open_sizes": {one.name: _open(one) for one in inputs}}  # type: ignore[assignment]
    return Program(module, inputs)


def _open(given: ProgramInput) -> tuple[int, ...]:
    """Places of the sizes that are open, the batch aside."""
    return tuple(place for place, size in enumerate(given.shape) if place and isinstance(size, str))


def _inputs(exported: Any, path: Path) -> tuple[ProgramInput, ...]:
    names = set(exported.graph_signature.user_inputs)
    found = []
    for node in exported.graph.nodes:
        if node.op != "placeholder" or node.name not in names:
            continue
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"The program {path} takes {node.name}, which is no tensor. Export a network of tensors."
            )
        shape = tuple(size if isinstance(size, int) else str(size) for size in value.shape)
        found.append(ProgramInput(node.name, shape, value.dtype))
    return tuple(found)
