"""A network in a file of ``torch.export.save``, read without trusting the file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
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
    exported = _exported(path)
    try:
        # Guards are Python text in the file, which torch would run.
        module: nn.Module = exported.module(check_guards=False)
    except Exception as error:  # torch raises whatever it meets in a damaged file
        raise _unreadable(path, error) from None
    inputs = _inputs(exported, path)
    # Copies of a graph module keep this, and no other attribute.
    known = {"open_sizes": {one.name: _open(one) for one in inputs}, "fixed_batch": _fixed_batch(inputs, path)}
    module.meta = known  # type: ignore[assignment]
    return Program(module, inputs)


def _exported(path: Path) -> Any:
    """The program in a file that holds nothing but what is known."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The program {path} cannot be read: {error.strerror}.") from None
    check_archive(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return torch.export.load(io.BytesIO(data))
    except Exception as error:  # torch raises whatever its readers meet in a damaged file
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> WeightsError:
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return WeightsError(f"torch cannot read the program {path}: {text}. Export it again.")


def _fixed_batch(inputs: tuple[ProgramInput, ...], path: Path) -> int | None:
    """Number of samples that the program takes at a time; None where that is open."""
    firsts = {one.shape[0] for one in inputs if one.shape}
    fixed = [size for size in firsts if isinstance(size, int)]
    if not fixed:
        return None
    if len(firsts) > 1:
        told = " and ".join(sorted(map(str, firsts)))
        raise WeightsError(
            f"The inputs of the program {path} begin with {told} entries. Export it with the samples along the first "
            "dimension of each input."
        )
    if fixed[0] != 1:
        raise WeightsError(
            f"The program {path} takes {fixed[0]} samples at a time and no other number. Export it with an open batch, "
            "torch.export.export(…, dynamic_shapes=({0: torch.export.Dim('batch')},)), or with one sample."
        )
    return 1


def program_bytes(path: Path, state: Mapping[str, torch.Tensor]) -> bytes:
    """The program in ``path`` with other weights, as ``torch.export.save`` writes it.

    Args:
        path: of the file, which is read anew.
        state: by the names of the program's parameters and buffers; those that are missing stay.

    Raises:
        WeightsError: see `load_program`.
    """
    exported = _exported(path)
    with torch.no_grad():
        for name, tensor in exported.state_dict.items():
            if name in state:
                tensor.copy_(state[name])
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.export.save(exported, file)
    return file.getvalue()


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
