"""Measure on devices that are reached through a shell."""

from device_bench.remote.hello import machine
from device_bench.remote.job import measure_remotely
from device_bench.remote.transport import Finished, Transport

__all__ = ["Finished", "Transport", "machine", "measure_remotely"]
