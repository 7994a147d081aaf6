"""Errors of running a model; each class is one cause, its message one sentence for the user."""

from typing import ClassVar


class RuntimesError(Exception):
    """Base of all errors of this package."""

    exit_code: ClassVar[int] = 1


class LibraryMissingError(RuntimesError):
    """The kernel library for a platform is not there."""


class UnknownTargetError(RuntimesError):
    """A target that is not in the registry."""

    exit_code: ClassVar[int] = 2


class SessionError(RuntimesError):
    """ONNX Runtime refused a model; its own words are part of the message."""


class OptionError(RuntimesError):
    """An option outside its range."""

    exit_code: ClassVar[int] = 2


class ToolchainError(RuntimesError):
    """The kernel library could not be built."""
