"""Run models whose nodes are chita.edge ops: an ONNX Runtime session with the kernel library registered."""

import os

# ONNX Runtime reads this when it is loaded, so it must be set before the first import of it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from runtimes.costs import LayerCost, LayerCostKey
from runtimes.errors import (
    LibraryMissingError,
    OptionError,
    RuntimesError,
    SessionError,
    ToolchainError,
    UnknownTargetError,
)
from runtimes.library import host_isa, isas, library
from runtimes.platforms import PLATFORMS, host_platform
from runtimes.session import check_file, dense_session, session
from runtimes.targets import TARGETS, Target, get_target

__all__ = [
    "PLATFORMS",
    "TARGETS",
    "LayerCost",
    "LayerCostKey",
    "LibraryMissingError",
    "OptionError",
    "RuntimesError",
    "SessionError",
    "Target",
    "ToolchainError",
    "UnknownTargetError",
    "check_file",
    "dense_session",
    "get_target",
    "host_isa",
    "host_platform",
    "isas",
    "library",
    "session",
]
