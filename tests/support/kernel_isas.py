"""The instruction sets that a kernel is tested with: those of this architecture, if this processor has them or not."""

from __future__ import annotations

from runtimes.platforms import PLATFORMS, host_platform, kernels


def isas_of(op: str) -> list[str]:
    """The reference, then those that the float32 kernel of an op is compiled for on this architecture."""
    platform = PLATFORMS.get(host_platform())
    own = platform.isas if platform else {}
    return [one.isa for one in kernels() if one.op == op and one.isa in ("reference", *own) and one.dtype == "float32"]
