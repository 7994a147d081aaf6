"""Errors of exporting, saving, reading and checking networks; each message is a sentence for the user."""

from __future__ import annotations


class ExportError(Exception):
    """Base of this package's errors: what was wrong, where, and what to do."""


class UnsupportedModelError(ExportError):
    """A network uses something that cannot be exported."""


class NonFiniteWeightsError(ExportError):
    """A layer's weights hold NaN or infinity."""


class CsrError(ExportError):
    """Arrays are no valid CSR or N:M weight."""


class SaveError(ExportError):
    """A file could not be written; nothing was left behind."""


class LoadError(ExportError):
    """A model file cannot be trusted or used."""


class NotOnnxError(LoadError):
    """The file is missing, unreadable, empty, truncated, or no ONNX model."""


class TooLargeError(LoadError):
    """The model, densified or while it runs, would need more memory than its limits allow."""


class ExternalDataError(LoadError):
    """External weights lie outside the model's folder, or their file does not match the model."""


class MalformedModelError(LoadError):
    """The file is ONNX, but its graph or its tensors contradict themselves."""


class UnsupportedOpError(LoadError):
    """The graph needs an operator, an operator set or a function that is not allowed here."""


class VerificationError(ExportError):
    """An exported file does not compute what the network computes."""
