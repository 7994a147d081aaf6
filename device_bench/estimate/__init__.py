"""Estimate cycles on Arm cores that are not at hand: instructions counted below qemu, times llvm-mca's figures."""

from device_bench.estimate.estimate import CORES, Core, Estimate, estimate
from device_bench.estimate.mca import Analyser, analyser

__all__ = ["CORES", "Analyser", "Core", "Estimate", "analyser", "estimate"]
