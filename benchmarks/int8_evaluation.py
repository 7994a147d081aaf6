"""Share of right answers of networks in torch, of integers, and of ONNX Runtime's own quantisation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

import exporters
import runtimes
from chita_edge.datasets import LabelledImages
from chita_edge.deploy.int8_costs import int8_format
from chita_edge.deploy.qdq import INPUT, to_qdq
from chita_edge.quantization import QuantisedNetwork

BATCH = 100

Network = Callable[[torch.Tensor], torch.Tensor]


def accuracy(network: Network, data: LabelledImages) -> float:
    """Percentage of right answers."""
    with torch.inference_mode():
        right = sum(
            int((network(images).argmax(1) == labels).sum())
            for images, labels in zip(data.images.split(BATCH), data.labels.split(BATCH), strict=True)
        )
    return 100 * right / len(data)


def answers(session: onnxruntime.InferenceSession) -> Network:
    """What a session with the input ``input`` computes."""

    def run(batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {INPUT: batch.contiguous().numpy()})[0])

    return run


def integers(network: QuantisedNetwork, example: torch.Tensor) -> Network:
    """The network in our integer kernels, which give the same bits in a tenth of the time, whatever their formats."""
    model = exporters.to_sparse_int8(to_qdq(network, example[:1]), int8_format(runtimes.get_target("x86_64"))).model
    return answers(runtimes.session(model.SerializeToString(), threads=torch.get_num_threads()))


def ort_accuracies(model: nn.Module, images: torch.Tensor, test: LabelledImages) -> dict[str, float]:
    """Accuracy of ONNX Runtime's static quantisation, uint8 activations and int8 weights a channel, by its method."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        dense = Path(folder) / "dense.onnx"
        exporters.save(exporters.to_onnx(model, images[:2]), dense)

        class Images(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self._left = [batch.numpy() for batch in images.split(BATCH)]

            def get_next(self) -> dict[str, np.ndarray] | None:
                return {"input": self._left.pop()} if self._left else None

        for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile):
            path = Path(folder) / f"{method.name}.onnx"
            quantize_static(
                dense, path, Images(), QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8, calibrate_method=method,
            )  # fmt: skip
            session = runtimes.dense_session(path, threads=torch.get_num_threads())
            found[method.name] = accuracy(answers(session), test)
    return found
