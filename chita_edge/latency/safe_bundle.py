"""Check of a bundle before its models are run: as it was built, and within the bounds of a model file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import exporters
from chita_edge.bundle import Manifest, verify_bundle
from device_bench.subjects import DENSE_FILE, SPARSE_FILE


def safe_bundle(bundle: Path, models: Sequence[str] = (DENSE_FILE, SPARSE_FILE)) -> Manifest:
    """The manifest of a verified bundle whose ``models`` :func:`exporters.load` takes.

    A bundle's sums tell damage, not who made it: one from elsewhere may hold models that would take all memory in ONNX
    Runtime. Raises BundleTamperedError, and ExportError for a model out of bounds.
    """
    manifest = verify_bundle(bundle)
    for name in models:
        exporters.load(bundle / name)
    return manifest
