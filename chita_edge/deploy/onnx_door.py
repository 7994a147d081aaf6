"""An ONNX file of any exporter as a network that can be pruned."""

from __future__ import annotations

import logging
from pathlib import Path

import exporters
from chita_edge.deploy.raised import raised
from exporters.half_precision import half_types
from exporters.interpreter import OnnxNetwork
from exporters.prepare import prepare
from exporters.read import read

_log = logging.getLogger(__name__)


def open_onnx(path: Path) -> tuple[OnnxNetwork, tuple[str, ...]]:
    """The network in ``path``, in torch, and what was done to it; nodes that only ONNX Runtime computes are logged.

    Raises:
        ExportError: the file cannot be read, or holds types that torch does not have.
    """
    model = read(path).model
    try:
        network = OnnxNetwork(prepare(model))
    except MemoryError:
        raise
    except exporters.ExportError as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:  # attributes or inputs that are not what the operator takes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise exporters.MalformedModelError(f"{path}: it cannot be run ({reason}); export it again.") from error
    if network.runtime_nodes:
        _log.warning(
            "%s: ONNX Runtime computes %s; gradients end there, and methods without them are the ones to use.",
            path,
            ", ".join(network.runtime_nodes[:3]) + (", …" if len(network.runtime_nodes) > 3 else ""),
        )
    return network, raised(half_types(model))
