"""Latency of models on devices: interleaved samples, all kept, compared without false alarms."""

from device_bench.errors import DeviceBenchError
from device_bench.measure import measure
from device_bench.measurement import Measurement, Summary
from device_bench.plan import BenchPlan, ModelUnderTest
from device_bench.results import Results, load, save

__all__ = [
    "BenchPlan",
    "DeviceBenchError",
    "Measurement",
    "ModelUnderTest",
    "Results",
    "Summary",
    "load",
    "measure",
    "save",
]
