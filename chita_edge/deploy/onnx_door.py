"""An ONNX file of any exporter as a network that can be pruned."""

from __future__ import annotations

import logging
from pathlib import Path

import exporters
from exporters.interpreter import OnnxNetwork
from exporters.prepare import prepare
from exporters.read import read

_log = logging.getLogger(__name__)


def open_onnx(path: Path) -> OnnxNetwork:
    """The network in ``path``, in torch; nodes that only ONNX Runtime computes are told.

    Raises:
        ExportError: the file cannot be read, or holds types that torch does not have.
    """
    model = read(path).model
    try:
        network = OnnxNetwork(prepare(model))
    except exporters.UnsupportedModelError as error:
        raise exporters.UnsupportedModelError(f"{path}: {error}") from error
    if network.runtime_nodes:
        _log.warning(
            "%s: ONNX Runtime computes %s; gradients end there, and methods without them are the ones to use.",
            path,
            ", ".join(network.runtime_nodes[:3]) + (", …" if len(network.runtime_nodes) > 3 else ""),
        )
    return network
