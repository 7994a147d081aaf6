"""Limits on the memory that a file may ask for."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits on the memory that a file makes its reader, and later a runtime, allocate.

    file_bytes: of the file and all files it refers to. dense_factor: bytes of the densified weights per byte of file,
    not applied below dense_bytes_always. total_bytes: weights densified and all values of one inference together.
    nodes: in all graphs together.
    """

    file_bytes: int = 2**31 - 1
    dense_factor: int = 64
    dense_bytes_always: int = 256 * MIB
    total_bytes: int = 4096 * MIB
    nodes: int = 100_000

    def dense_bytes(self, file_bytes: int) -> int:
        """Largest size of all weights of a file of that size, densified."""
        return min(self.total_bytes, max(self.dense_bytes_always, self.dense_factor * file_bytes))


DEFAULT_LIMITS = Limits()
