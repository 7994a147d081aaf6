"""The instruction sets that a kernel is tested with."""

from __future__ import annotations

import runtimes
from runtimes.platforms import PLATFORMS, host_platform, kernels, ops


def isas_of(op: str) -> list[str]:
    """The reference, then those of this architecture, on this processor or not, that an op has in its own type."""
    platform = PLATFORMS.get(host_platform())
    own = ("reference", *(platform.isas if platform else ()))
    return [one.isa for one in kernels() if one.op == op and one.isa in own and one.dtype == ops()[op]]


def float_isas() -> list[str]:
    """Those of this processor that have kernels for floats; to others an op of floats is what it is to these."""
    return _with({one.isa for one in kernels() if one.dtype != "int8"})


def int8_isas() -> list[str]:
    """Those of this processor that have kernels for int8."""
    return _with({one.isa for one in kernels() if one.dtype == "int8"})


def _with(isas: set[str]) -> list[str]:
    return [isa for isa in runtimes.isas() if isa in isas]
