"""The int8 kernels without ONNX Runtime: plans of the q_ ops on NCHW arrays, for tests and benchmarks.

``pack`` and ``unpack`` go between NCHW and the layout that ``native/edge.h`` describes: groups of four channels, planes
whose pitch is a multiple of 16 pixels, bytes flipped on Arm. As with ``bindings``, nothing is validated.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runtimes import q_structures as q
from runtimes.bindings import Kernels, Plan, aligned
from runtimes.platforms import dtypes, host_platform
from runtimes.structures import FLOATS, INTS, Dtypes, Geometry, Run, pointer, shape_of

Bytes = npt.NDArray[np.uint8]
GROUP, PIXELS = 4, 16
FLIP = 0 if host_platform().endswith("x86_64") else 0x80
"""What stored bytes are xor'ed with."""
_INT8 = Dtypes(dtypes()["int8"], dtypes()["int8"])


@dataclass(frozen=True)
class Grid:
    """A grid of values: scale * (q - zero)."""

    scale: float
    zero: int

    @property
    def c(self) -> q.QGrid:
        """The same for C."""
        return q.QGrid(self.scale, self.zero)


@dataclass(frozen=True)
class Blocks:
    """Weights in blocks of four input channels, by one or two outputs."""

    values: npt.NDArray[np.int8]
    """[blocks, block_rows, 4]."""
    col_idx: npt.NDArray[np.int32]
    row_ptr: npt.NDArray[np.int32]

    @property
    def block_rows(self) -> int:
        """Outputs that share a row of blocks: 1 or 2."""
        return int(self.values.shape[1])

    @staticmethod
    def of(weights: npt.NDArray[np.int8], block_rows: int = 1) -> Blocks:
        """The blocks of ``weights`` [M, C, kh, kw] or [M, K] that are not all zero."""
        full = weights.reshape(*weights.shape[:2], -1)
        rows, channels, taps = full.shape
        padded = np.zeros((-(-rows // block_rows) * block_rows, -(-channels // GROUP) * GROUP, taps), np.int8)
        padded[:rows, :channels] = full
        cells = padded.reshape(-1, block_rows, padded.shape[1] // GROUP, GROUP, taps).transpose(0, 2, 4, 1, 3)
        cells = cells.reshape(len(cells), -1, block_rows, GROUP)
        kept = cells.any((2, 3))
        row_ptr = np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int32)
        return Blocks(np.ascontiguousarray(cells[kept]), np.nonzero(kept)[1].astype(np.int32), row_ptr)


_NO_GRID = Grid(1, 0)
Weights = Blocks | npt.NDArray[np.int8]


def plane_bytes(height: int, width: int) -> int:
    """Bytes of the plane of a group of channels."""
    return -(-height * width // PIXELS) * PIXELS * GROUP


def packed_bytes(shape: Sequence[int]) -> int:
    """Bytes of a tensor [N, C, H, W] in the layout."""
    return shape[0] * -(-shape[1] // GROUP) * plane_bytes(shape[2], shape[3])


def pack(x: Bytes, out: Bytes | None = None) -> Bytes:
    """``x`` [N, C, H, W] in the layout, in fresh memory or in ``out``, of which what is no pixel stays as it is."""
    room = aligned(packed_bytes(x.shape)) if out is None else out
    cells = room.reshape(x.shape[0], -1, plane_bytes(*x.shape[2:]) // GROUP, GROUP)
    for channel in range(x.shape[1]):
        pixels = x[:, channel].reshape(len(x), -1)
        cells[:, channel // GROUP, : pixels.shape[1], channel % GROUP] = pixels ^ np.uint8(FLIP)
    return room


def unpack(packed: Bytes, shape: Sequence[int]) -> Bytes:
    """[N, C, H, W] from the layout."""
    batch, channels, height, width = shape
    cells = packed.reshape(batch, -(-channels // GROUP), -1, GROUP)[:, :, : height * width] ^ np.uint8(FLIP)
    return np.ascontiguousarray(cells.transpose(0, 1, 3, 2).reshape(batch, -1, height, width)[:, :channels])


class QPlan:
    """A plan of a q_ op, which takes and gives arrays as outside of the layout."""

    def __init__(self, plan: Plan, library: ctypes.CDLL, op: str, keep: tuple[Any, ...] = ()) -> None:
        self._plan, self._library, self._op, self._keep = plan, library, op, keep
        self.isa, self.bytes = plan.isa, plan.bytes

    def out_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of y for a shape of x."""
        return self._plan.out_shape(x_shape)

    def tasks(self, x_shape: tuple[int, ...], threads: int = 1) -> int:
        """How many tasks a run consists of."""
        return int(getattr(self._library, f"ce_{self._op}_tasks")(self._plan.pointer, shape_of(x_shape), threads))

    def bind(
        self,
        x: Any,
        y: Any,
        x_shape: tuple[int, ...],
        second: Any | None = None,
        threads: int = 1,
        backwards: bool = False,
    ) -> Callable[[], None]:
        """A call that runs all tasks, in the opposite order if ``backwards``, on arrays in the layout (or float32)."""
        shape, tasks = shape_of(x_shape), range(self.tasks(x_shape, threads))
        scratch = self._plan.allocate(self._plan.scratch_bytes(x_shape, threads))
        added = None if second is None else second.ctypes.data
        run = Run(shape, x.ctypes.data, added, y.ctypes.data, scratch.ctypes.data, threads)
        function, argument, plan = getattr(self._library, f"ce_{self._op}_run"), ctypes.byref(run), self._plan.pointer

        def call(_keep: Any = (x, y, second, scratch, self)) -> None:
            for task in reversed(tasks) if backwards else tasks:
                function(plan, argument, task)

        return call

    def run(self, x: Any, second: Bytes | None = None, threads: int = 1, backwards: bool = False) -> Any:
        """The output for ``x`` [N, C, H, W], which is uint8, or float32 for q_quantize; in fresh memory."""
        shape = self.out_shape(x.shape)
        allocate = self._plan.allocate
        floats = self._op == "q_dequantize" or len(shape) == 2
        given = x if self._op == "q_quantize" else pack(x, allocate(packed_bytes(x.shape)))
        added = None if second is None else pack(second, allocate(packed_bytes(second.shape)))
        y: Any = np.full(shape, np.nan, np.float32) if floats else allocate(packed_bytes(shape))
        self.bind(given, y, x.shape, added, threads, backwards)()
        return y if floats else unpack(y, shape)


class QKernels:
    """The q_ ops of a library, as `Kernels` limits them to an instruction set and allocates."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def _make(self, op: str, desc: ctypes.Structure, out_shape: Callable[..., Any], *keep: Any) -> QPlan:
        return QPlan(self._kernels.plan(op, desc, out_shape), self._kernels.library, op, (desc, *keep))

    def conv(
        self, op: str, weights: Weights, w_scale: Any, bias: Any, window: Geometry, x: Grid, y: Grid,
        table: Bytes | None = None, add: int = 0, residual: Grid = _NO_GRID, total: Grid = _NO_GRID,
    ) -> QPlan:  # fmt: skip
        """``q_conv`` or ``q_depthwise_conv``; with ``add`` 1 or 2 q_add to the grid ``total`` follows."""
        rows, *pointers = _pointers(weights, w_scale, bias)
        lut = None if table is None else pointer(table, ctypes.POINTER(ctypes.c_uint8))
        desc = q.QConvDesc(_INT8, window, x.c, y.c, rows, *pointers, lut, add, residual.c, total.c)
        return self._make(op, desc, self._kernels.conv_shape(window), weights, w_scale, bias, table)

    def gemm(
        self, weights: Weights, w_scale: Any, bias: Any, in_features: int, x: Grid, y: Grid | None = None
    ) -> QPlan:
        """``q_gemm``; float32 [N, M] without a grid ``y``."""
        rows, *pointers = _pointers(weights, w_scale, bias)
        grid = (y or Grid(1, 0)).c
        desc = q.QGemmDesc(_INT8, len(bias), in_features, x.c, grid, rows, y is None, *pointers)

        def out_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
            return (x_shape[0], len(bias), 1, 1)[: 2 if y is None else 4]

        return self._make("q_gemm", desc, out_shape, weights, w_scale, bias)

    def add(self, a: Grid, b: Grid, y: Grid) -> QPlan:
        """``q_add``."""
        return self._make("q_add", q.QAddDesc(_INT8, a.c, b.c, y.c), tuple)

    def mul(self, a: Grid, b: Grid, y: Grid) -> QPlan:
        """``q_mul``, whose second factor is [N, C, 1, 1]."""
        return self._make("q_mul", q.QAddDesc(_INT8, a.c, b.c, y.c), tuple)

    def global_average_pool(self, x: Grid, y: Grid) -> QPlan:
        """``q_global_average_pool``."""
        return self._make("q_global_average_pool", q.QAverageDesc(_INT8, x.c, y.c), lambda s: (*s[:2], 1, 1))

    def max_pool(self, window: Geometry) -> QPlan:
        """``q_max_pool``; the channels of the window mean nothing."""
        out = self._kernels.conv_shape(window)
        return self._make("q_max_pool", q.QMaxPoolDesc(_INT8, window), lambda s: (*s[:2], *out(s)[2:]))

    def table(self, table: Bytes) -> QPlan:
        """``q_table``."""
        desc = q.QTableDesc(_INT8, pointer(table, ctypes.POINTER(ctypes.c_uint8)))
        return self._make("q_table", desc, tuple, table)

    def quantize(self, grid: Grid) -> QPlan:
        """``q_quantize``."""
        return self._make("q_quantize", q.QQuantizeDesc(_INT8, grid.c), tuple)

    def dequantize(self, grid: Grid) -> QPlan:
        """``q_dequantize``."""
        return self._make("q_dequantize", q.QQuantizeDesc(_INT8, grid.c), tuple)


def _pointers(weights: Weights, w_scale: Any, bias: Any) -> tuple[Any, ...]:
    """Rows of a block (0: dense), then values, col_idx, row_ptr, w_scale and bias as the structures have them."""
    signed = ctypes.POINTER(ctypes.c_int8)
    scales = pointer(w_scale, FLOATS), pointer(bias, INTS)
    if not isinstance(weights, Blocks):
        return 0, pointer(weights, signed), None, None, *scales
    indices = pointer(weights.col_idx, INTS), pointer(weights.row_ptr, INTS)
    return weights.block_rows, pointer(weights.values, signed), *indices, *scales
