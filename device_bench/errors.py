"""The errors of device_bench: each is a sentence for the user and an exit code for the shell."""

from __future__ import annotations

from typing import ClassVar


class DeviceBenchError(Exception):
    """Something about a measurement failed; the message says what, where and what to do."""

    exit_code: ClassVar[int] = 1


class PlanError(DeviceBenchError):
    """A measurement was asked for that cannot be made: a count, duration or core set that makes no sense."""

    exit_code: ClassVar[int] = 2


class UnknownDeviceError(DeviceBenchError):
    """The device's name has no known kind."""

    exit_code: ClassVar[int] = 2


class DeviceUnavailableError(DeviceBenchError):
    """The device cannot be reached, or stopped answering."""

    exit_code: ClassVar[int] = 5


class ResultsError(DeviceBenchError):
    """A results file is missing, too large, not JSON, or holds what no measurement gives."""


class MeasurementError(DeviceBenchError):
    """A model could not be run while it was being measured."""
