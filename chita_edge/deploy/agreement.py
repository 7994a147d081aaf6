"""Check that every runtime computes from the exported file what torch computes from the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

import exporters
import runtimes
from chita_edge.deploy.feeds import answers, feeds
from chita_edge.errors import ChitaEdgeError
from chita_edge.network.inputs import Batch
from exporters.layers import FloatDtype

TOLERANCE = 1e-4
# Half precision rounds each weight by up to 2⁻¹¹ of itself; the accuracy is judged on the file as it is.
HALF_TOLERANCE = 2e-2


class DisagreementError(ChitaEdgeError):
    """A runtime computes something else from the exported file than torch from the network."""


def check_agreement(model: nn.Module, path: Path, images: Batch, values: FloatDtype = "float32") -> dict[str, float]:
    """Largest difference from `model` on `images`, relative to the largest logit, by runtime.

    The runtimes are stock ONNX Runtime, onnx.reference, and ONNX Runtime with the kernel library. The file also has to
    pass ONNX's checker. Raises exporters.VerificationError or DisagreementError where a difference exceeds 1e-4, or
    2e-2 where the file's ``values`` are float16.
    """
    session = runtimes.session(path)
    inputs, expected = feeds(session, images), answers(model, images)
    tolerance = TOLERANCE if values == "float32" else HALF_TOLERANCE
    stock = exporters.verify(path, inputs, expected, tolerance)
    with_kernels = exporters.relative_difference([np.asarray(one) for one in session.run(None, inputs)], expected)
    # Written so that NaN fails.
    if not with_kernels <= tolerance:
        raise DisagreementError(
            f"With the kernel library the exported file differs from the network by {with_kernels:.1e} of the largest "
            f"logit, more than {tolerance:.0e}. This is a defect of the kernels on this processor; please report it."
        )
    return {
        "stock ONNX Runtime": stock.onnxruntime,
        "onnx.reference": stock.reference,
        "ONNX Runtime with the kernels": with_kernels,
    }
