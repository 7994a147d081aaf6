"""Accuracy of a model file on labelled images."""

from __future__ import annotations

import numpy as np
import onnxruntime

from chita_edge.datasets import LabelledImages
from chita_edge.deploy.feeds import feeds
from chita_edge.progress import Progress, silent

_BATCH = 100


def accuracy(
    session: onnxruntime.InferenceSession, data: LabelledImages, phase: str = "accuracy", progress: Progress = silent
) -> float:
    """Share of the images that a model classifies as labelled."""
    assert data.labels is not None  # noqa: S101 (what is judged on has labels)
    labels = data.labels.numpy()
    right = 0
    progress(phase, 0, len(labels))
    for start in range(0, len(labels), _BATCH):
        (logits,) = session.run(None, feeds(session, data.images[start : start + _BATCH]))
        right += int(np.count_nonzero(logits.argmax(1) == labels[start : start + _BATCH]))
        progress(phase, min(start + _BATCH, len(labels)), len(labels))
    return right / len(labels)
