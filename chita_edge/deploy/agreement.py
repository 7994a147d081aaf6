"""Check that every runtime computes from the exported file what torch computes from the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn

import exporters
import runtimes
from chita_edge.deploy.feeds import answers, feeds, for_check
from chita_edge.deploy.int8_products import products_are_exact
from chita_edge.deploy.qdq_parts import step_output
from chita_edge.errors import ChitaEdgeError
from chita_edge.network.inputs import Batch
from chita_edge.quantization import QuantisedNetwork
from exporters.layers import FloatDtype

TOLERANCE = 1e-4
# Half precision rounds each weight by up to 2⁻¹¹ of itself; the accuracy is judged on the file as it is.
HALF_TOLERANCE = 2e-2
# Of the largest logit, for codes that are one step off here and there; the accuracy is judged on the file as it is.
STEPS_TOLERANCE = 0.25


_SESSIONS: dict[str, Callable[[bytes], onnxruntime.InferenceSession]] = {
    "ONNX Runtime with the kernels": lambda content: runtimes.session(content, trusted=True),
    "stock ONNX Runtime": runtimes.dense_session,
}


class DisagreementError(ChitaEdgeError):
    """A runtime computes something else from the exported file than torch from the network."""


def check_int8_agreement(network: QuantisedNetwork, path: Path, images: Batch) -> dict[str, float]:
    """Largest difference from the integers of `network` on `images`, relative to the largest logit, by runtime.

    With the kernel library it has to be 0, and in stock ONNX Runtime where that multiplies int8 exactly on this
    processor. `onnx.reference` has no integer ops: a code may differ by one step a layer there.

    Where float32 steps stand between integers, their last bits differ from runtime to runtime, and a code that is
    rounded from them may differ by one step. Each float step then has to be within 1e-4 of torch's on the same codes,
    and all integers, computed from what the runtime's own float steps gave, the same to the bit.

    Raises:
        VerificationError, DisagreementError: a difference is larger.
    """
    session = runtimes.session(path, trusted=True)  # our own file
    images = for_check(session, images)
    inputs, expected = feeds(session, images), [network(images).numpy()]
    found = exporters.verify(path, inputs, expected, STEPS_TOLERANCE, trusted=True)
    with_kernels = exporters.relative_difference([np.asarray(one) for one in session.run(None, inputs)], expected)
    differences = {
        "stock ONNX Runtime": found.onnxruntime,
        "onnx.reference": found.reference,
        "ONNX Runtime with the kernels": with_kernels,
    }
    exact = differences
    if network.graph.floats:
        exact = _differences_of_integers(network, path, images, inputs)
        # Written so that NaN fails.
        if not with_kernels <= STEPS_TOLERANCE:
            raise DisagreementError(
                f"With the kernel library the int8 file differs from the network by {with_kernels:.1e} of the largest "
                f"logit, more than {STEPS_TOLERANCE}. Please report this, and the processor."
            )
    for runtime in ("ONNX Runtime with the kernels", *(["stock ONNX Runtime"] if products_are_exact() else [])):
        # Written so that NaN fails.
        if not exact[runtime] == 0:
            raise DisagreementError(
                f"In {runtime} the int8 file differs by {exact[runtime]:.1e} of the largest logit from the "
                "network's own integers, which it should equal to the bit. Please report this, and the processor."
            )
    return differences


def _differences_of_integers(
    network: QuantisedNetwork, path: Path, images: Batch, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, float]:
    """Difference of a file's output from the integers of `network`, by runtime, both from the file's own float steps.

    Of an output that a float step gives, how far the integers that it is made of let it be: 0, or NaN.

    Raises:
        DisagreementError: a float step is not within 1e-4 of torch's.
    """
    seen = onnx.load(path)
    names = [step_output(step.name) for step in network.graph.floats]
    last, *_ = (value.name for value in seen.graph.output)
    del seen.graph.output[:]
    seen.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (last, *names))
    content, found = exporters.to_bytes(seen), dict[str, float]()
    for runtime, open_session in _SESSIONS.items():
        answer, *real = (np.asarray(one) for one in open_session(content).run(None, dict(inputs)))
        given = {step.name: torch.from_numpy(one) for step, one in zip(network.graph.floats, real, strict=True)}
        found[runtime] = _difference_of_integers(network, images, given, answer, runtime)
    return found


def _difference_of_integers(
    network: QuantisedNetwork, images: Batch, given: Mapping[str, torch.Tensor], answer: NDArray[Any], where: str
) -> float:
    values = dict[str, torch.Tensor]()
    with torch.inference_mode():
        for step, value in network.walk(images, given):
            grid = network.grids.get(step.name)
            values[step.name] = value if grid is None else grid.dequantise(value)
            if step.op != "float":
                continue
            ours = step(*(values[name] for name in step.inputs))
            apart = exporters.relative_difference([value.numpy()], [ours.numpy()])
            # Written so that NaN fails.
            if not apart <= TOLERANCE and not _is_rounded_alike(network, step.name, ours, value):
                raise DisagreementError(
                    f"In {where} the float32 part {step.name} of the int8 file, or the integers that it reads, differ "
                    f"by {apart:.1e} of its largest value from torch's, more than {TOLERANCE:.0e}. Please report this, "
                    "and the processor."
                )
    return exporters.relative_difference([answer], [values[network.graph.output].numpy()])


def _is_rounded_alike(network: QuantisedNetwork, name: str, ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Whether a float step's output was rounded already to the grid that it is read on, to codes within a step of ours.

    Stock ONNX Runtime rounds it before it changes its shape.
    """
    grids = {network.grids.get(reader.name) for reader in network.graph.readers(name)}
    grid = grids.pop() if len(grids) == 1 else None
    if grid is None:
        return False
    codes = grid.quantise(theirs)
    rounded = bool(((grid.dequantise(codes) - theirs).abs() <= TOLERANCE * grid.scale).all())
    return rounded and bool(((codes - grid.quantise(ours)).abs() <= 1).all())


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
