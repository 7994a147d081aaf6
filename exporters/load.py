"""Reading of untrusted ONNX files that a runtime is going to run.

What :func:`load` returns has been bounded before any runtime sees it: every tensor is as large as the bytes that the
file (or a file in its folder) holds for it, every CSR weight is valid and small enough to densify, every intermediate
value has a fixed size within limits, there are no loops, no branches, no functions but ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from exporters.errors import MalformedModelError, TooLargeError, UnsupportedOpError
from exporters.ops import DOMAIN, VERSION, find_op
from exporters.read import naming, read
from exporters.untrusted.graph import check_graph
from exporters.untrusted.limits import DEFAULT_LIMITS, Limits
from exporters.untrusted.tensors import check_tensors_to_run
from exporters.untrusted.walk import STANDARD

_OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)


def load(
    path: str | Path,
    limits: Limits = DEFAULT_LIMITS,
    *,
    needs_bodies: bool = True,
    sizes: Mapping[str, tuple[int, ...]] | None = None,
) -> onnx.ModelProto:
    """Read the model at ``path``, check it as this module's docstring says, and embed its external data.

    needs_bodies: whether the function body of each op of ours must be there; a runtime with the kernel library runs
    without. sizes: of inputs whose size the file leaves open; the bounds are for these, so run it with no others.
    Raises a LoadError: NotOnnxError, TooLargeError, ExternalDataError, MalformedModelError or
    UnsupportedOpError. It names the file and what is wrong in it.
    """
    source = read(path, limits)
    model = source.model
    with naming(Path(path)):
        _check_header(model)
        _check_functions(model, needs_bodies)
        check_tensors_to_run(model)
        check_graph(model, limits.dense_bytes(source.bytes), limits.total_bytes, sizes)
        _check_onnx(model)
    return model


def _check_header(model: onnx.ModelProto) -> None:
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise UnsupportedOpError(f"its IR version is {model.ir_version}; this reads 3 to {onnx.IR_VERSION}.")
    seen: set[str] = set()
    for opset in model.opset_import:
        domain = "" if opset.domain == "ai.onnx" else opset.domain
        if domain in seen:
            raise MalformedModelError(f"it imports the operator set {domain!r} twice; export it again.")
        seen.add(domain)
        if domain == "" and opset.version in _OPSETS:
            continue
        if domain == DOMAIN and opset.version == VERSION:
            continue
        if domain not in ("", DOMAIN):  # some exporters import what they do not use; a node of it is refused
            continue
        raise UnsupportedOpError(
            f"it needs version {opset.version} of the operator set {domain or 'ai.onnx'!r}; this reads "
            f"ai.onnx {_OPSETS.start} to {_OPSETS.stop - 1} and {DOMAIN} {VERSION}."
        )
    if "" not in seen:
        raise MalformedModelError("it does not say which ONNX operator set it uses; export it again.")


def _check_onnx(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model)
    except (EncodeError, ValueError) as error:  # which of them depends on protobuf's implementation
        raise TooLargeError("with its external data it exceeds the 2 GB of an ONNX model.") from error
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise MalformedModelError(f"ONNX's checker refuses it ({first}); export it again.") from error


def _check_functions(model: onnx.ModelProto, needs_bodies: bool) -> None:
    """Refuse all functions but ours, to the letter: a body can ask for any amount of memory."""
    opset = max(entry.version for entry in model.opset_import if entry.domain in STANDARD)
    names = [(function.name, function.overload) for function in model.functions]
    # Overloads of one name are as bad as a function twice: many readers take the last of them for all.
    if len({name for name, _ in names}) != len(names):
        raise MalformedModelError("it defines a function twice; export it again.")
    for function in model.functions:
        op = find_op(function.name, function.overload)
        if op is None or function != op.body(opset):
            raise UnsupportedOpError(
                f"its function {function.domain}:{function.name} is not the one this version writes; export it again."
            )
    missing = {(node.op_type, node.overload) for node in model.graph.node if node.domain == DOMAIN} - set(names)
    if missing and needs_bodies:
        lacking = ", ".join(sorted({name for name, _ in missing}))
        raise MalformedModelError(f"it lacks the function bodies of {lacking}; export it again.")
    if model.training_info:
        raise UnsupportedOpError("it carries training information, which no exporter of ours writes.")
