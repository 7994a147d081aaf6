"""Tell whether two runs are the same: a digest of each thing that a result depends on."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from chita_edge.storage.code_digest import CodeDigest, tensor_digest
from chita_edge.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


@dataclass(frozen=True)
class Fingerprint:
    """Fingerprint of a run: a SHA-256 in hexadecimal for each thing that its result depends on, by name.

    Two runs with equal fingerprints give the same bytes on the same processor. A processor of another kind adds in
    another order and is no part of it, so that work can be moved between machines.
    """

    parts: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """One SHA-256 over all parts."""
        return hashlib.sha256(json.dumps(dict(self.parts), sort_keys=True).encode()).hexdigest()

    def extended(self, options: Mapping[str, Any]) -> Fingerprint:
        """Fingerprint extended by further inputs of the result: tensors, or values of any kind."""
        return Fingerprint({**self.parts, **{name: _digest(value) for name, value in options.items()}})

    def differences(self, parts: Mapping[str, str]) -> tuple[str, ...]:
        """Names of the parts that another fingerprint has not, or has otherwise."""
        return tuple(sorted(n for n in {*parts, *self.parts} if parts.get(n) != self.parts.get(n)))


def fingerprint(model: nn.Module, options: Mapping[str, Any]) -> Fingerprint:
    """Fingerprint of a network, and of what it is used with.

    Parameters and all buffers count, also those that ``state_dict`` leaves out; the modules as they print, their plain
    attributes and hooks; the compiled code of each ``forward`` and of the Python functions that it is made of;
    versions; the number of torch threads and the settings of torch that change its arithmetic. Code that is not Python
    (a C++ or CUDA extension, a file that ``forward`` reads) cannot be seen: its name alone counts.

    Args:
        model: as it is before any work.
        options: what else the result depends on: images, labels, options.
    """
    named: dict[str, list[tuple[str, torch.Tensor]]] = {
        "parameters": list(model.named_parameters(remove_duplicate=False)),
        "buffers": list(model.named_buffers(remove_duplicate=False)),
    }
    tensors = [pair for pairs in named.values() for pair in pairs]
    first: dict[int, str] = {}
    for name, tensor in tensors:
        first.setdefault(id(tensor), name)
    # A tensor that is used under two names is named by its first one.
    parts = {kind: _digest([(n, first[id(t)], tensor_digest(t)) for n, t in pairs]) for kind, pairs in named.items()}
    code = CodeDigest(first)
    code.add(repr(model))
    code.add(model)
    parts["code and attributes of the network"] = code.hexdigest()
    parts["versions"] = _digest(
        {
            "chita-edge": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        }
    )
    parts["threads"] = _digest(torch.get_num_threads())
    parts["settings of torch"] = _digest(
        [
            torch.get_float32_matmul_precision(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.mkldnn.enabled,
        ]
    )
    return Fingerprint(parts).extended(options)


def _digest(value: Any) -> str:
    code = CodeDigest()
    code.add(value)
    return code.hexdigest()
