"""Quick exports: torch parses the sources of all its ONNX functions for every one, which is half of its time."""

from __future__ import annotations

import functools

import pytest


def parse_functions_once(patch: pytest.MonkeyPatch) -> None:
    """Let the exporter keep what it parsed first; where torch has that elsewhere, exports take longer and no more."""
    try:
        from torch.onnx._internal._lazy_import import onnxscript_apis
    except ImportError:
        return

    @functools.cache
    def parsed() -> object:
        return type(onnxscript_apis).__getattr__(onnxscript_apis, "get_torchlib_ops")()

    patch.setattr(onnxscript_apis, "get_torchlib_ops", parsed, raising=False)
