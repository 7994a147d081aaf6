"""The errors of chita-edge: each is a sentence for the user and an exit code for the shell."""

from __future__ import annotations

from typing import ClassVar


class ChitaEdgeError(Exception):
    """Something failed that the user can understand and act on; the message says what, where and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(ChitaEdgeError):
    """A name, option or value that the user gave cannot be used."""

    exit_code: ClassVar[int] = 2


class BundleTamperedError(ChitaEdgeError):
    """A bundle's files are not those that its manifest lists."""

    exit_code: ClassVar[int] = 6
