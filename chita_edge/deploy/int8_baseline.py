"""ONNX Runtime's own int8 of a dense network: the baseline that a team has for free."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

import exporters
from chita_edge.deploy.feeds import in_parts
from chita_edge.errors import ChitaEdgeError
from chita_edge.network.inputs import SeveralInputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

    Samples = torch.Tensor | SeveralInputs

_BATCH = 50


class BaselineError(ChitaEdgeError):
    """ONNX Runtime cannot quantise a network."""


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, dense: onnx.ModelProto, samples: Samples) -> None:
        inputs = exporters.inputs_of(dense)
        self._names = [value.name for value in inputs]
        declared = exporters.declared_shape(inputs[0])
        fixed = declared[0] if declared and isinstance(declared[0], int) and declared[0] > 0 else None
        self._left = in_parts(samples, fixed or min(_BATCH, len(samples)))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        batch = next(self._left, None)
        if batch is None:
            return None
        tensors = batch.tensors if isinstance(batch, SeveralInputs) else (batch,)
        return {name: tensor.contiguous().numpy() for name, tensor in zip(self._names, tensors, strict=True)}


def int8_baseline(dense: onnx.ModelProto, samples: Samples) -> onnx.ModelProto:
    """The network as ONNX Runtime's `quantize_static` makes it at its fastest setting here.

    Activations are uint8, weights int8 with a scale a channel, written as quantise-dequantise ops; ranges are from the
    least to the largest value on the samples. Int8 activations, its default, are up to 2.7 times slower on x86.

    Args:
        dense: the network in float32.
        samples: to calibrate on, as the network takes them, the sample first.

    Raises:
        BaselineError: ONNX Runtime cannot do it.
    """
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as folder, _quiet():
        source, made = Path(folder, "dense.onnx"), Path(folder, "int8.onnx")
        exporters.save(dense, source)
        try:
            quantize_static(
                source,
                made,
                _Samples(dense, samples),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        except Exception as error:  # it raises whatever its parts raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BaselineError(f"ONNX Runtime cannot quantise the dense network ({reason:.200}).") from error
        return onnx.load(made)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `quantize_static` from advising on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
