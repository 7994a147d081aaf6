"""Bundles: folders that ship to an app, written as a whole and verified byte by byte."""

from chita_edge.bundle.errors import BundleExistsError, BundleWriteError
from chita_edge.bundle.manifest import FileEntry, Manifest
from chita_edge.bundle.staging import check_target
from chita_edge.bundle.verify import verify_bundle
from chita_edge.bundle.write import Earlier, add_measurements, change_measurements, write_bundle

__all__ = [
    "BundleExistsError",
    "BundleWriteError",
    "Earlier",
    "FileEntry",
    "Manifest",
    "add_measurements",
    "change_measurements",
    "check_target",
    "verify_bundle",
    "write_bundle",
]
