"""Arrays between guard pages, the kernels of this machine, and float64 convolutions to hold them against."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from runtimes.bindings import Kernels, Plan
from runtimes.library import library
from runtimes.packed_weights import Csr
from runtimes.structures import geometry

PAGE = mmap.PAGESIZE
PROT_NONE = 0
INFINITE = (-np.inf, np.inf)
UNIT = 2.0**-24
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Guarded:
    """Allocates arrays that touch an unreadable page at their end (or at their start, where ``at_end`` is false)."""

    def __init__(self) -> None:
        self.at_end = True
        self._maps: list[tuple[int, int]] = []

    def bytes(self, size: int, alignment: int = 64) -> npt.NDArray[np.uint8]:
        """``size`` bytes of garbage at a multiple of ``alignment``."""
        room = -(-max(size, 1) // PAGE) * PAGE
        protection, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        start = _libc.mmap(None, room + 2 * PAGE, protection, flags, -1, 0)
        self._maps.append((start, room + 2 * PAGE))
        for guard in (start, start + PAGE + room):
            assert _libc.mprotect(guard, PAGE, PROT_NONE) == 0
        offset = (room - size) // alignment * alignment if self.at_end else 0
        array = np.frombuffer((ctypes.c_uint8 * size).from_address(start + PAGE + offset), np.uint8)
        array[...] = 0xFF  # as float32 a NaN: what is read before it is written shows
        return array

    def array(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A copy of float32 values, aligned to no more than 4 bytes."""
        copy = self.bytes(values.size * 4, 4).view(np.float32).reshape(values.shape)
        copy[...] = values
        return copy

    def release(self) -> None:
        """Unmap everything that was handed out."""
        for start, size in self._maps:
            _libc.munmap(start, size)
        self._maps.clear()


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    """Arrays between guard pages; they are gone when the test ends."""
    guard = Guarded()
    yield guard
    guard.release()


@pytest.fixture
def kernels(guarded: Guarded) -> Callable[[str], Kernels]:
    """Kernels limited to an ISA, whose plans and scratches lie between guard pages; skips where this CPU has it not."""

    def make(isa: str) -> Kernels:
        found = Kernels(library(), isa, guarded.bytes)
        if found.available() != isa:
            pytest.skip(f"this CPU does not run {isa}")
        return found

    return make


def _windows(x: np.ndarray, kernel: int, stride: int, pads: tuple[int, ...], dilation: int) -> np.ndarray:
    """[N, C, kernel * kernel, OH, OW] in float64: every tap's view of the padded input."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    reach = dilation * (kernel - 1)
    height, width = padded.shape[2] - reach, padded.shape[3] - reach
    starts = [(i * dilation, j * dilation) for i in range(kernel) for j in range(kernel)]
    return np.stack([padded[:, :, i : i + height : stride, j : j + width : stride] for i, j in starts], 2)


def sparse(rng: np.random.Generator, rows: int, columns: int, sparsity: float) -> np.ndarray:
    """Signed weights, about ``sparsity`` of them 0."""
    weights = rng.standard_normal((rows, columns), np.float32)
    return np.where(rng.random((rows, columns)) < sparsity, np.float32(0), weights)


def assert_close(
    y: np.ndarray, exact: np.ndarray, size: np.ndarray, terms: np.ndarray | int, clip: tuple[float, float]
) -> None:
    """|error| ≤ terms · u · Σ|w||x| whatever the order, fused or not (Higham, Accuracy and Stability, section 4.2)."""
    assert y.dtype == np.float32
    assert y.shape == exact.shape
    wrong = ~(abs(y - np.clip(exact, *clip)) <= 1.01 * (terms + 3) * UNIT * size + 1e-44)
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} differ, first at {np.argwhere(wrong)[0]}"


class Checker:
    """Runs one convolution in several ways, between guard pages, and holds it against float64."""

    def __init__(self, kernels: Kernels, guarded: Guarded) -> None:
        self._kernels, self._guarded = kernels, guarded

    def __call__(
        self, op: str, x: np.ndarray, weights: np.ndarray, *, kernel: int = 1, stride: int = 1,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0), dilation: int = 1,
        clip: tuple[float, float] = INFINITE, residual: bool = False, block_rows: int = 1,
    ) -> None:  # fmt: skip
        """``weights`` [M, columns]; for depthwise [C, taps]."""
        rng = np.random.default_rng(weights.size)
        outs = len(weights)
        bias = rng.standard_normal(outs, np.float32)
        taps, weights64 = _windows(x, kernel, stride, pads, dilation), weights.astype(np.float64)
        if op == "depthwise_conv":
            equation, columns = "ct,ncthw->nchw", taps
        else:
            equation, columns = "mk,nkhw->nmhw", taps.reshape(len(x), -1, *taps.shape[3:])
        exact = np.einsum(equation, weights64, columns) + bias.reshape(1, -1, 1, 1)
        size = np.einsum(equation, abs(weights64), abs(columns)) + abs(bias).reshape(1, -1, 1, 1)
        added = rng.standard_normal(exact.shape, np.float32) if residual else None
        if added is not None:
            exact, size = exact + added, size + abs(added)
        terms = (weights != 0).sum(1).reshape(1, -1, 1, 1)
        window = geometry(outs, x.shape[1], kernel, stride, pads, dilation)
        results = []
        for self._guarded.at_end, threads in ((True, 1), (False, 2), (True, 3)):
            plan = self._plan(op, weights, bias, window, clip, block_rows)
            y = self._guarded.array(np.full(plan.out_shape(x.shape), np.nan, np.float32))
            plan.bind(self._guarded.array(x), y, None if added is None else self._guarded.array(added), threads)()
            assert_close(y, exact, size, terms, clip)
            results.append(y.copy())
        self._guarded.release()
        assert all((result.view(np.int32) == results[0].view(np.int32)).all() for result in results)

    def _plan(
        self, op: str, weights: np.ndarray, bias: np.ndarray, window: Any, clip: tuple[float, float], block_rows: int
    ) -> Plan:
        if op == "block_csr_conv":
            return self._kernels.block_csr_conv(Csr.of_blocks(weights, block_rows), bias, window, clip)
        if op == "csr_conv":
            return self._kernels.csr_conv(Csr.of(weights), bias, window, clip)
        return self._kernels.dense(op, np.ascontiguousarray(weights), bias, window, clip)


@pytest.fixture
def checker(kernels: Callable[[str], Kernels], guarded: Guarded) -> Callable[[str], Checker]:
    """A `Checker` for an ISA."""
    return lambda isa: Checker(kernels(isa), guarded)


@pytest.fixture
def random_sparse() -> Callable[..., np.ndarray]:
    """The function `sparse`."""
    return sparse


@pytest.fixture
def within_bound() -> Callable[..., None]:
    """The function `assert_close`."""
    return assert_close
