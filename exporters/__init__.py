"""Export of torch networks to dense and sparse ONNX; saving, reading, checking and describing such files."""

from __future__ import annotations

from exporters.describe import describe
from exporters.errors import (
    CsrError,
    ExportError,
    ExternalDataError,
    LoadError,
    MalformedModelError,
    NonFiniteWeightsError,
    NotOnnxError,
    SaveError,
    TooLargeError,
    UnsupportedModelError,
    UnsupportedOpError,
    VerificationError,
)
from exporters.from_torch import to_onnx
from exporters.inspect import FileLayer, FileReport, inspect
from exporters.layers import Decide, Decision, ExportedLayer, SparseModel, SparsifyCandidate
from exporters.load import load
from exporters.network import Link, NetworkInfo, NetworkRule
from exporters.qdq.info import QuantisedCandidate, QuantisedDecide, QuantisedDecision, QuantisedFormat, stored_share
from exporters.save import save
from exporters.serialize import to_bytes
from exporters.sizes import declared_shape, fix_sizes, has_open_sizes, inputs_of
from exporters.sparse import to_sparse
from exporters.sparse_int8 import is_quantised, to_sparse_int8
from exporters.untrusted.limits import Limits
from exporters.verify import Verification, relative_difference, verify

__all__ = [
    "CsrError",
    "Decide",
    "Decision",
    "ExportError",
    "ExportedLayer",
    "ExternalDataError",
    "FileLayer",
    "FileReport",
    "Limits",
    "Link",
    "LoadError",
    "MalformedModelError",
    "NetworkInfo",
    "NetworkRule",
    "NonFiniteWeightsError",
    "NotOnnxError",
    "QuantisedCandidate",
    "QuantisedDecide",
    "QuantisedDecision",
    "QuantisedFormat",
    "SaveError",
    "SparseModel",
    "SparsifyCandidate",
    "TooLargeError",
    "UnsupportedModelError",
    "UnsupportedOpError",
    "Verification",
    "VerificationError",
    "declared_shape",
    "describe",
    "fix_sizes",
    "has_open_sizes",
    "inputs_of",
    "inspect",
    "is_quantised",
    "load",
    "relative_difference",
    "save",
    "stored_share",
    "to_bytes",
    "to_onnx",
    "to_sparse",
    "to_sparse_int8",
    "verify",
]
