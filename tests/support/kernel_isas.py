"""The instruction sets that a kernel is tested with: those of this architecture, if this processor has them or not."""

from __future__ import annotations

from runtimes import host_platform
from runtimes.kernels import listed_kernels
from runtimes.toolchain import PLATFORMS


def isas_of(op: str) -> list[str]:
    """The reference, then those that the kernel of an op is compiled for on this architecture."""
    platform = PLATFORMS.get(host_platform())
    own = platform.isas if platform else {}
    return [isa for listed, isa in listed_kernels() if listed == op and (isa == "reference" or isa in own)]
