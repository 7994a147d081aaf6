"""What can go wrong when a model is run: each class is one cause, its message one sentence for the user."""


class RuntimesError(Exception):
    """Base of all errors of this package."""


class LibraryMissingError(RuntimesError):
    """The kernel library for a platform is not there."""


class UnknownTargetError(RuntimesError):
    """A target that is not in the registry."""


class SessionError(RuntimesError):
    """ONNX Runtime refused a model; its own words are part of the message."""


class OptionError(RuntimesError):
    """An option outside its range."""


class ToolchainError(RuntimesError):
    """The kernel library could not be built."""
