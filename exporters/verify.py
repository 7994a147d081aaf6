"""Verification that a file computes what the network computes, by stock ONNX Runtime and onnx.reference."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from exporters.errors import VerificationError
from exporters.load import load
from exporters.read import read
from exporters.serialize import to_bytes

TOLERANCE = 1e-4

Array = npt.NDArray[Any]
Feeds = Array | Mapping[str, Array]


@dataclass(frozen=True)
class Verification:
    """Largest differences from the expected output, relative to its largest magnitude.

    onnxruntime: of ORT without any library of ours. reference: of onnx.reference.
    """

    onnxruntime: float
    reference: float


def verify(
    path: str | Path,
    inputs: Feeds,
    expected: Array | Sequence[Array],
    tolerance: float = TOLERANCE,
    *,
    trusted: bool = False,
) -> Verification:
    """Check the file at ``path`` and run it on ``inputs``, the network's own outputs for which are ``expected``.

    inputs: such as float32 (batch, channels, height, width), or of several by their names in the file; expected: such
    as float32 (batch, classes), or one of each of several outputs, in the file's order. One or two samples do, as
    onnx.reference is slow. trusted: a file of one's own, which may hold what :func:`exporters.load` refuses. Raises
    LoadError, and VerificationError when the checker refuses or a difference exceeds ``tolerance``.
    """
    model = read(path).model if trusted else load(path)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().splitlines()[0]
        raise VerificationError(f"{path}: ONNX's checker refuses it ({first}).") from error
    result = Verification(
        onnxruntime=relative_difference(_ran(path, "ONNX Runtime", _run_onnxruntime, model, inputs), expected),
        reference=relative_difference(_ran(path, "onnx.reference", _run_reference, model, inputs), expected),
    )
    for what, difference in (("ONNX Runtime", result.onnxruntime), ("onnx.reference", result.reference)):
        # Written so that NaN fails.
        if not difference <= tolerance:
            raise VerificationError(
                f"{path}: in {what} its output differs by {difference:.1e} of the largest from the network's, "
                f"more than {tolerance:.1e}; export it again and report this if it stays."
            )
    return result


def relative_difference(got: Array | Sequence[Array], expected: Array | Sequence[Array]) -> float:
    """Largest |got − expected| / max |expected|, the largest of several outputs.

    NaN when either has one, infinity when the shapes or the numbers of outputs differ.
    """
    found, wanted = (one if isinstance(one, list | tuple) else [one] for one in (got, expected))
    if len(found) != len(wanted):
        return float("inf")
    # Written so that NaN stays.
    return float(np.max([_relative_difference(*pair) for pair in zip(found, wanted, strict=True)]))


def _relative_difference(got: Array, expected: Array) -> float:
    if got.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(got.astype(np.float64) - expected).max()) / scale


def _ran(
    path: str | Path,
    what: str,
    run: Callable[[onnx.ModelProto, Feeds], list[Array]],
    model: onnx.ModelProto,
    inputs: Feeds,
) -> list[Array]:
    """The outputs; VerificationError whatever the runtime raises, since each has exceptions of its own."""
    try:
        return run(model, inputs)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise VerificationError(f"{path}: {what} cannot run it ({first}); export it again and report this.") from error


def _run_onnxruntime(model: onnx.ModelProto, inputs: Feeds) -> list[Array]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when ORT is first imported
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(to_bytes(model), options, providers=["CPUExecutionProvider"])
    feeds = inputs if isinstance(inputs, Mapping) else {session.get_inputs()[0].name: inputs}
    return [np.asarray(output) for output in session.run(None, dict(feeds))]


def _run_reference(model: onnx.ModelProto, inputs: Feeds) -> list[Array]:
    from onnx.reference import ReferenceEvaluator

    feeds = inputs if isinstance(inputs, Mapping) else {model.graph.input[0].name: inputs}
    return [np.asarray(output) for output in ReferenceEvaluator(model).run(None, dict(feeds))]
