"""Reading a network's weights from a file that may be wrong or hostile."""

from __future__ import annotations

import logging
import pickle
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from chita_edge.models.checkpoints import WeightsError, find_state

# A state dict is stored uncompressed; an archive that claims to unpack to more than this many times its size is a bomb.
_MAX_UNPACK_RATIO = 4
_SLACK_BYTES = 1 << 20
_LISTED = 3
__all__ = ["WeightsError", "load_weights"]
_log = logging.getLogger(__name__)


def load_weights(model: nn.Module, path: Path) -> tuple[str, ...]:
    """Load the state dict in `path` into `model`, in place.

    `path` is a ``.safetensors`` file or a torch file that holds nothing but tensors and plain values; code in a pickle
    is never run. Where the state dict is below another key, under a prefix, masked or of another precision, it is found
    as `chita_edge.models.checkpoints.find_state` says; what was done is returned as sentences, and logged as a warning.
    Raises WeightsError when the file is missing, truncated, hostile, does not have exactly the network's keys and
    shapes, or holds non-finite values; `model` is then unchanged.
    """
    found = find_state(_read(path), model.state_dict())
    if found is None:
        raise WeightsError(f"The weights file {path} holds no state dict (names and tensors); save model.state_dict().")
    _check_fits(model, found.tensors, path)
    model.load_state_dict(found.tensors)
    if not found.notes:
        return ()
    told = f"The weights file {path}: {'; '.join(found.notes)}."
    _log.warning("%s", told)
    return (told,)


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"The weights file {path} cannot be read: {error.strerror}.") from None
    # A safetensors file starts with the length of its header and the header's opening brace.
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, ValueError, RuntimeError, OSError, KeyError) as error:
            raise WeightsError(
                f"The weights file {path} is not a valid safetensors file: {_first_line(error)}."
            ) from None
    _refuse_archive_bomb(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"The weights file {path} holds more than tensors and was not opened, since that could run code. "
            "Save the network's state_dict() with torch.save, or use safetensors."
        ) from None
    except MemoryError:
        raise WeightsError(f"The weights file {path} claims tensors that do not fit in memory.") from None
    except Exception as error:  # torch raises whatever its readers meet in a damaged file
        told = _first_line(error)
        raise WeightsError(
            f"The weights file {path} is damaged or not a torch file{'' if told.isdigit() else f': {told}'}."
        ) from None


def _refuse_archive_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"The weights file {path} is a damaged archive: {_first_line(error)}.") from None
    if unpacked > _MAX_UNPACK_RATIO * path.stat().st_size + _SLACK_BYTES:
        raise WeightsError(f"The weights file {path} would unpack to {unpacked:,} bytes and was not opened.")


def _check_fits(model: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    if missing or unexpected:
        raise WeightsError(
            f"The weights file {path} does not match the network: "
            f"{len(missing)} of its {len(wanted)} entries are missing{_example(missing)}, "
            f"{len(unexpected)} are not the network's{_example(unexpected)}."
        )
    for name, tensor in wanted.items():
        given = state[name]
        if given.layout != torch.strided or given.is_quantized:
            raise WeightsError(
                f"The weights file {path} stores {name} as a {'quantised' if given.is_quantized else 'sparse'} tensor. "
                f"Save it with {'dequantize()' if given.is_quantized else 'to_dense()'}."
            )
        if given.shape != tensor.shape:
            raise WeightsError(
                f"The weights file {path} does not match the network: {name} has shape {tuple(given.shape)}, "
                f"the network's is {tuple(tensor.shape)}."
            )
        if given.is_floating_point() != tensor.is_floating_point() or given.is_complex():
            raise WeightsError(
                f"The weights file {path} stores {name} as {given.dtype}, the network's is {tensor.dtype}."
            )
        if not bool(torch.isfinite(given).all()):
            raise WeightsError(f"The weights file {path} holds NaN or infinite values in {name}; it cannot be pruned.")


def _example(names: list[str]) -> str:
    """The first few of them."""
    listed = ", ".join(repr(name) for name in names[:_LISTED])
    return f" ({'such as ' if len(names) > _LISTED else ''}{listed})" if names else ""


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
