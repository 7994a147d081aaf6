"""Check that every runtime computes from the exported file what torch computes from the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

import exporters
import runtimes
from chita_edge.deploy.feeds import answers, feeds, for_check
from chita_edge.deploy.int8_products import products_are_exact
from chita_edge.errors import ChitaEdgeError
from chita_edge.network.inputs import Batch, single
from chita_edge.quantization import QuantisedNetwork
from exporters.layers import FloatDtype

TOLERANCE = 1e-4
# Half precision rounds each weight by up to 2⁻¹¹ of itself; the accuracy is judged on the file as it is.
HALF_TOLERANCE = 2e-2
# Of the largest logit, for codes that are one step off here and there; the accuracy is judged on the file as it is.
STEPS_TOLERANCE = 0.25


class DisagreementError(ChitaEdgeError):
    """A runtime computes something else from the exported file than torch from the network."""


def check_int8_agreement(network: QuantisedNetwork, path: Path, images: torch.Tensor) -> dict[str, float]:
    """Largest difference from the integers of `network` on `images`, relative to the largest logit, by runtime.

    With the kernel library it has to be 0, and in stock ONNX Runtime where that multiplies int8 exactly on this
    processor. `onnx.reference` has no integer ops: a code may differ by one step a layer there.

    Raises:
        VerificationError, DisagreementError: a difference is larger.
    """
    session = runtimes.session(path, trusted=True)  # our own file
    images = single(for_check(session, images))
    inputs, expected = feeds(session, images), [network(images).numpy()]
    found = exporters.verify(path, inputs, expected, STEPS_TOLERANCE, trusted=True)
    with_kernels = exporters.relative_difference([np.asarray(one) for one in session.run(None, inputs)], expected)
    differences = {
        "stock ONNX Runtime": found.onnxruntime,
        "onnx.reference": found.reference,
        "ONNX Runtime with the kernels": with_kernels,
    }
    for runtime in ("ONNX Runtime with the kernels", *(["stock ONNX Runtime"] if products_are_exact() else [])):
        # Written so that NaN fails.
        if not differences[runtime] == 0:
            raise DisagreementError(
                f"In {runtime} the int8 file differs by {differences[runtime]:.1e} of the largest logit from the "
                "network's own integers, which it should equal to the bit. Please report this, and the processor."
            )
    return differences


def check_agreement(model: nn.Module, path: Path, images: Batch, values: FloatDtype = "float32") -> dict[str, float]:
    """Largest difference from `model` on `images`, relative to the largest logit, by runtime.

    The runtimes are stock ONNX Runtime, onnx.reference, and ONNX Runtime with the kernel library. The file also has to
    pass ONNX's checker. Raises exporters.VerificationError or DisagreementError where a difference exceeds 1e-4, or
    2e-2 where the file's ``values`` are float16.
    """
    session = runtimes.session(path, trusted=True)  # our own file
    images = for_check(session, images)
    inputs, expected = feeds(session, images), answers(model, images)
    tolerance = TOLERANCE if values == "float32" else HALF_TOLERANCE
    stock = exporters.verify(path, inputs, expected, tolerance, trusted=True)
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
