"""The public surface."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import exporters

ERRORS = {
    *("CsrError", "ExportError", "ExternalDataError", "LoadError", "MalformedModelError", "NonFiniteWeightsError"),
    *("NotOnnxError", "SaveError", "TooLargeError", "UnsupportedModelError", "UnsupportedOpError", "VerificationError"),
}
TYPES = {
    *("Decide", "Decision", "FileReport", "SparsifyCandidate", "ExportedLayer", "FileLayer"),
    *("QuantisedCandidate", "QuantisedDecide", "QuantisedDecision", "QuantisedFormat"),
    *("Limits", "Link", "NetworkInfo", "NetworkRule", "SparseModel", "Verification"),
}
FUNCTIONS = {
    *("describe", "inspect", "load", "relative_difference", "save", "to_bytes", "to_onnx", "to_sparse", "verify"),
    *("declared_shape", "fix_sizes", "has_open_sizes", "inputs_of", "is_quantised", "stored_share", "to_sparse_int8"),
}


def test_public_names() -> None:
    assert set(exporters.__all__) == ERRORS | TYPES | FUNCTIONS
    assert all(hasattr(exporters, name) for name in exporters.__all__)


def test_errors_have_one_base() -> None:
    assert all(issubclass(getattr(exporters, name), exporters.ExportError) for name in ERRORS)


def test_import_is_light() -> None:
    root = str(Path(exporters.__file__ or "").parents[1])
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import exporters; "
        "print([name for name in ('torch', 'onnxscript', 'onnxruntime') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code, root], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"
