"""ONNX's backend suite through the exporter: what becomes of a case, and where the cases come from.

The node cases are made by importing a module of the suite each, those of models lie in files.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.case.node as node_cases
import onnxruntime
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

import exporters
import runtimes

MODULES = sorted(one.name for one in pkgutil.iter_modules(node_cases.__path__) if one.name != "_image_decoder_data")
DATA = Path(node_cases.__file__).parents[2] / "data"
FOLDERS = sorted(path.parent for kind in ("simple", "pytorch-*") for path in DATA.glob(f"{kind}/*/model.onnx"))
LIGHT = sorted(DATA.glob("light/*.onnx"))
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "GRU", "LSTM", "MatMul", "RNN")


@dataclass(frozen=True, eq=False)
class Case:
    """A model and what it is given; ``inputs`` in the order of the graph's."""

    name: str
    model: onnx.ModelProto
    inputs: Sequence[Any]


@functools.cache
def node_cases_of(module: str) -> list[Case]:
    """The cases of a module, whose import makes them, each once more with its weights constant where it has any."""
    made = node_cases._NodeTestCases
    before = len(made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"{node_cases.__name__}.{module}")
    found = []
    for case in made[before:]:
        given = Case(case.name, case.model, list(case.data_sets[0][0]))
        frozen = with_constant_weights(given)
        found += [given] if frozen is None else [given, frozen]
    return found


def file_case(folder: Path) -> Case:
    """A case that lies in files."""
    model = onnx.load(folder / "model.onnx")
    paths = sorted(folder.glob("test_data_set_0/input_*.pb"), key=lambda path: int(path.stem.split("_")[-1]))
    tensors = [TensorProto.FromString(path.read_bytes()) for path in paths]
    return Case(folder.name, model, [numpy_helper.to_array(tensor) for tensor in tensors])


def with_constant_weights(case: Case) -> Case | None:
    """The case with inputs that are weights as initializers, most of them 0; None where it has none."""
    names = [value.name for value in case.model.graph.input]
    if len(names) != len(case.inputs):
        return None
    given = dict(zip(names, case.inputs, strict=True))
    chosen = [
        name
        for node in case.model.graph.node
        if node.op_type in _WEIGHTED and not node.domain
        for name in node.input[1:3]
        if isinstance(given.get(name), np.ndarray)
    ]
    if not chosen:
        return None
    model, rng = onnx.ModelProto(), np.random.default_rng(0)
    model.CopyFrom(case.model)
    for name in dict.fromkeys(chosen):
        array = given.pop(name)
        if array.dtype.kind == "f" and array.ndim > 1:
            array = array * (rng.random(array.shape) < 0.4).astype(array.dtype)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
        model.graph.input.remove(next(value for value in model.graph.input if value.name == name))
    return Case(f"{case.name} of constant weights", model, list(given.values()))


def outcome(case: Case, path: Path) -> str:
    """``same``, ``equal`` or the sentence of a refusal; AssertionError where the exported model computes another."""
    onnx.save(case.model, path)
    try:
        dense = exporters.load(path)
        sparse = exporters.to_sparse(dense, lambda layer: exporters.Decision(0 < layer.sparsity < 1, "test"))
    except exporters.ExportError as error:
        sentence = str(error)
        assert sentence.endswith("."), f"{case.name}: {sentence}"
        assert "\n" not in sentence, f"{case.name}: {sentence}"
        return sentence.removeprefix(f"{path}: ")
    if sparse.model == dense:
        return "same"
    onnx.checker.check_model(sparse.model, full_check=True)
    feeds = dict(zip([value.name for value in dense.graph.input], case.inputs, strict=True))
    want = _run(dense.SerializeToString(), feeds)
    data = exporters.to_bytes(sparse.model)
    if want is None:  # this ONNX Runtime is older than the case's operator set
        want, found = _refer(dense, feeds), [_refer(sparse.model, feeds)]
    else:
        found = [_run(data, feeds) or [], runtimes.session(data).run(None, feeds)]
    for got in found:
        for a, b in zip(want, got, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5, err_msg=case.name)
    return "equal"


def _run(data: bytes, feeds: dict[str, Any]) -> list[Any] | None:
    """What stock ONNX Runtime makes of a model; None where it does not support the operator set."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        if "ValidateOpsetForDomain" in str(error):
            return None
        raise
    return list(session.run(None, feeds))


def _refer(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]
