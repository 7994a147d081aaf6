"""The instruction sets that a kernel is tested with: those of this architecture, if this processor has them or not."""

from __future__ import annotations

from runtimes.platforms import PLATFORMS, host_platform, kernels, ops


def isas_of(op: str) -> list[str]:
    """The reference, then those that the kernel of an op, in the op's own data type, has on this architecture."""
    platform = PLATFORMS.get(host_platform())
    own = ("reference", *(platform.isas if platform else ()))
    return [one.isa for one in kernels() if one.op == op and one.isa in own and one.dtype == ops()[op]]
