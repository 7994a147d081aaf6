"""Measure on devices that are reached through a shell."""

from device_bench.limited import Finished
from device_bench.remote.hello import machine
from device_bench.remote.job import measure_remotely
from device_bench.remote.transport import Transport

__all__ = ["Finished", "Transport", "machine", "measure_remotely"]
