"""The kernels without ONNX Runtime: ctypes bindings of ``native/edge.h`` for tests and benchmarks.

``Kernels(path).csr_conv(weights, geometry)`` makes a plan; ``plan.run(x)`` runs every task of it in turn on the calling
thread. ``edge.h`` says what the functions do; nothing here is validated, as nothing there is.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from runtimes.errors import LibraryMissingError
from runtimes.platforms import BEST_ISA, isas

ISAS = {**isas(), "best": BEST_ISA}
ACTIVATIONS = {"clip": 0, "hard_swish": 1, "silu": 2}
ALIGNMENT = 64

Array = npt.NDArray[np.float32]
_FLOATS = ctypes.POINTER(ctypes.c_float)
_INTS = ctypes.POINTER(ctypes.c_int32)
_BYTES = ctypes.POINTER(ctypes.c_uint8)


class Geometry(ctypes.Structure):
    """``ce_conv_geometry``: out and in channels, then kernel, stride, pads (top, left, bottom, right) and dilation."""

    _fields_ = [
        (name, ctypes.c_int32)
        for name in (
            *("out_channels", "in_channels", "kernel_h", "kernel_w", "stride_h", "stride_w"),
            *("pad_top", "pad_left", "pad_bottom", "pad_right", "dilation_h", "dilation_w"),
        )
    ]


class Shape(ctypes.Structure):
    """``ce_shape``: batch, height and width of an input."""

    _fields_ = [(name, ctypes.c_int64) for name in "nhw"]


class Run(ctypes.Structure):
    """``ce_run``: the arguments of one run."""

    _fields_ = [
        ("shape", Shape),
        *((name, ctypes.c_void_p) for name in ("x", "residual", "y", "scratch")),
        ("threads", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("band", "feed")),
    ]


_CLIP: list[tuple[str, Any]] = [("clip_min", ctypes.c_float), ("clip_max", ctypes.c_float)]
_CSR: list[tuple[str, Any]] = [("values", _FLOATS), ("col_idx", _INTS), ("row_ptr", _INTS), ("bias", _FLOATS)]
_LAST: list[tuple[str, Any]] = [("activation", ctypes.c_int32)]


class _CsrConvDesc(ctypes.Structure):
    _fields_ = [("geometry", Geometry), *_CLIP, *_CSR, *_LAST, ("arithmetic", ctypes.c_int32)]


class _BlockCsrConvDesc(ctypes.Structure):
    _fields_ = [("csr", _CsrConvDesc), ("block_rows", ctypes.c_int32)]


class _NmWeight(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int32), ("m", ctypes.c_int32), ("values", _FLOATS), ("index", _BYTES)]


_NM: list[tuple[str, Any]] = [("weight", _NmWeight), ("bias", _FLOATS)]


class _NmConvDesc(ctypes.Structure):
    _fields_ = [("geometry", Geometry), *_CLIP, *_NM, *_LAST]


class _NmGemmDesc(ctypes.Structure):
    _fields_ = [("out_features", ctypes.c_int32), ("in_features", ctypes.c_int32), *_CLIP, *_NM, *_LAST]


class _CsrGemmDesc(ctypes.Structure):
    _fields_ = [("out_features", ctypes.c_int32), ("in_features", ctypes.c_int32), *_CLIP, *_CSR, *_LAST]


class _DenseDesc(ctypes.Structure):
    _fields_ = [("geometry", Geometry), *_CLIP, ("weights", _FLOATS), ("bias", _FLOATS), *_LAST]


class _PoolDesc(ctypes.Structure):
    _fields_ = [("unused", ctypes.c_int32)]


class _Stage(ctypes.Structure):
    _fields_ = [("op", ctypes.c_int32), ("desc", ctypes.c_void_p)]


MOST_STAGES = 9
CHAIN_OPS = {"csr_conv": 0, "depthwise_conv": 1, "dense_conv": 2}


class _ConvChainDesc(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("isa", ctypes.c_int32), ("stages", _Stage * MOST_STAGES)]


_DESCS: dict[str, type[ctypes.Structure]] = {
    "csr_conv": _CsrConvDesc,
    "block_csr_conv": _BlockCsrConvDesc,
    "nm_conv": _NmConvDesc,
    "csr_gemm": _CsrGemmDesc,
    "nm_gemm": _NmGemmDesc,
    "depthwise_conv": _DenseDesc,
    "dense_conv": _DenseDesc,
    "global_average_pool": _PoolDesc,
    "conv_chain": _ConvChainDesc,
}


@dataclass(frozen=True)
class Csr:
    """Compressed rows of a matrix: float32 ``values`` and int32 ``col_idx`` [nnz], int32 ``row_ptr`` [rows + 1].

    With blocks of R rows: ``values`` [nnz, R], and the rows of the others are blocks.
    """

    values: Array
    col_idx: npt.NDArray[np.int32]
    row_ptr: npt.NDArray[np.int32]

    @classmethod
    def of(cls, matrix: Array) -> Csr:
        """The rows of a dense 2-D matrix; what is not 0 (NaN included) is kept."""
        kept = matrix != 0
        counts = np.concatenate([[0], np.cumsum(kept.sum(1))])
        return cls(
            np.ascontiguousarray(matrix[kept], np.float32),
            np.nonzero(kept)[1].astype(np.int32),
            counts.astype(np.int32),
        )

    @classmethod
    def of_blocks(cls, matrix: Array, block_rows: int) -> Csr:
        """The columns of each ``block_rows`` rows of a matrix in which one of them is not 0."""
        blocks = matrix.reshape(-1, block_rows, matrix.shape[1])
        kept = (blocks != 0).any(1)
        counts = np.concatenate([[0], np.cumsum(kept.sum(1))])
        return cls(
            np.ascontiguousarray(blocks.transpose(0, 2, 1)[kept], np.float32),
            np.nonzero(kept)[1].astype(np.int32),
            counts.astype(np.int32),
        )


@dataclass(frozen=True)
class NmWeight:
    """N:M weights: float32 ``values`` [rows, groups, taps, n] and packed ``index``; ``edge.h`` says how."""

    values: Array
    index: npt.NDArray[np.uint8]
    m: int

    @classmethod
    def of(cls, matrix: Array, m: int, taps: int = 1) -> NmWeight:
        """The columns (in_channel, tap) of a dense 2-D matrix in groups of ``m`` channels, as full as the fullest."""
        rows, channels, bits = len(matrix), matrix.shape[1] // taps, (m - 1).bit_length()
        groups = -(-channels // m)
        cells = np.zeros((rows, groups * m, taps), np.float32)
        cells[:, :channels] = matrix.reshape(rows, channels, taps)
        cells = cells.reshape(rows, groups, m, taps).transpose(0, 1, 3, 2)
        n = max(1, int((cells != 0).sum(3).max()))
        places = np.sort(np.argsort(cells == 0, axis=3, kind="stable")[..., :n], axis=3)
        digits = (places.reshape(-1, 1) >> np.arange(bits) & 1).astype(np.uint8)
        values = np.ascontiguousarray(np.take_along_axis(cells, places, 3))
        return cls(values, np.packbits(digits.reshape(-1), bitorder="little"), m)


def geometry(
    out_channels: int,
    in_channels: int,
    kernel: int = 1,
    stride: int = 1,
    pads: tuple[int, int, int, int] | None = None,
    dilation: int = 1,
) -> Geometry:
    """A square window; ``pads`` (top, left, bottom, right) keep the size at stride 1 where they are not given."""
    half = dilation * (kernel - 1) // 2
    return Geometry(
        out_channels, in_channels, kernel, kernel, stride, stride, *(pads or (half,) * 4), dilation, dilation
    )


def _pointer(array: npt.NDArray[Any], kind: Any) -> Any:
    return array.ctypes.data_as(kind)


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """``size`` uninitialised bytes that start at a multiple of 64."""
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size]


@dataclass(frozen=True)
class Stage:
    """A convolution of a chain: its op and what a plan of it is made from."""

    op: str
    desc: ctypes.Structure
    window: Geometry
    arrays: tuple[Csr | Array, ...]  # which desc points into


def csr_stage(weights: Csr, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)) -> Stage:
    """A sparse convolution; within a chain 1×1, of stride 1, without padding."""
    return Stage("csr_conv", _CsrConvDesc(window, *clip, *_csr(weights, bias)), window, (weights, bias))


def dense_stage(
    op: str, weights: Array, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
) -> Stage:
    """A ``depthwise_conv`` or a ``dense_conv``."""
    desc = _DenseDesc(window, *clip, _pointer(weights, _FLOATS), _pointer(bias, _FLOATS))
    return Stage(op, desc, window, (weights, bias))


Allocator = Callable[[int], npt.NDArray[np.uint8]]


class Plan:
    """A plan of one op; its memory lives as long as it does."""

    def __init__(
        self,
        library: ctypes.CDLL,
        op: str,
        desc: ctypes.Structure,
        isa: int,
        out_shape: Callable[..., Any],
        allocate: Allocator = aligned,
    ) -> None:
        self._library, self._op, self._out_shape, self._allocate = library, op, out_shape, allocate
        self.bytes = self._call("plan_bytes", ctypes.byref(desc), isa)
        self._memory = allocate(self.bytes)
        self._plan = ctypes.c_void_p(self._memory.ctypes.data)
        self._call("plan_init", self._plan, ctypes.byref(desc), isa)
        self.isa = next(name for name, value in ISAS.items() if value == self._call("plan_isa", self._plan))

    def _call(self, name: str, *arguments: Any) -> int:
        return int(getattr(self._library, f"ce_{self._op}_{name}")(*arguments) or 0)

    def out_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of y for a shape of x."""
        return tuple(self._out_shape(x_shape))

    def scratch_bytes(self, x_shape: tuple[int, ...], threads: int = 1) -> int:
        """Bytes of scratch that ``threads`` threads need."""
        return self._call("scratch_bytes", self._plan, _shape(x_shape), threads)

    def bind(self, x: Array, y: Array, residual: Array | None = None, threads: int = 1) -> Callable[[], None]:
        """A call without arguments that runs all tasks on ``x`` and fills ``y``."""
        shape = _shape(x.shape)
        scratch = self._allocate(self.scratch_bytes(x.shape, threads))
        added = None if residual is None else residual.ctypes.data
        run = Run(shape, x.ctypes.data, added, y.ctypes.data, scratch.ctypes.data, threads)
        function, argument, plan = getattr(self._library, f"ce_{self._op}_run"), ctypes.byref(run), self._plan
        tasks = range(self._call("tasks", plan, shape, threads))

        def call(_keep: Any = (x, y, residual, scratch, self)) -> None:
            for task in tasks:
                function(plan, argument, task)

        return call

    def run(self, x: Array, residual: Array | None = None, threads: int = 1) -> Array:
        """The output for x, in fresh memory."""
        y = np.full(self.out_shape(x.shape), np.nan, np.float32)
        self.bind(x, y, residual, threads)()
        return y


def _shape(x_shape: tuple[int, ...]) -> Shape:
    return Shape(x_shape[0], x_shape[2], x_shape[3]) if len(x_shape) == 4 else Shape(x_shape[0], 1, 1)


class Kernels:
    """The kernels of one shared library.

    ``isa`` hides all ISAs above it from plans made through this object; ``allocate`` makes their plans and scratches.
    """

    def __init__(self, path: Path, isa: str = "best", allocate: Allocator = aligned) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise LibraryMissingError(f"the kernel library {path} cannot be loaded: {error}") from error
        self._isa, self._allocate = ISAS[isa], allocate
        for op, kind in _DESCS.items():
            functions = {name: getattr(self._library, f"ce_{op}_{name}") for name in _FUNCTIONS}
            for name, (result, arguments) in _FUNCTIONS.items():
                functions[name].restype = result
                functions[name].argtypes = [ctypes.POINTER(kind) if a is None else a for a in arguments]

    def available(self) -> str:
        """The ISA that plans made through this object use at most."""
        usable = self._library.ce_usable_isas()
        return [name for name, value in ISAS.items() if value <= self._isa and usable >> value & 1][-1]

    def csr_conv(
        self, weights: Csr, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``CsrConv``; the rows of ``weights`` are output channels, its columns (in_channel, kh, kw)."""
        stage = csr_stage(weights, bias, window, clip)
        return self._plan(stage.op, stage.desc, self._conv_shape(window))

    def block_csr_conv(
        self, weights: Csr, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``BlockCsrConv``; ``weights`` from ``Csr.of_blocks``."""
        desc = _BlockCsrConvDesc(_CsrConvDesc(window, *clip, *_csr(weights, bias)), weights.values.shape[1])
        return self._plan("block_csr_conv", desc, self._conv_shape(window))

    def nm_conv(
        self, weights: NmWeight, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``NmConv``."""
        desc = _NmConvDesc(window, *clip, _nm(weights), _pointer(bias, _FLOATS))
        return self._plan("nm_conv", desc, self._conv_shape(window))

    def nm_gemm(
        self, weights: NmWeight, bias: Array, in_features: int, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``NmGemm``."""
        desc = _NmGemmDesc(len(bias), in_features, *clip, _nm(weights), _pointer(bias, _FLOATS))
        return self._plan("nm_gemm", desc, lambda shape: (shape[0], len(bias)))

    def csr_gemm(
        self, weights: Csr, bias: Array, in_features: int, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``CsrGemm``."""
        desc = _CsrGemmDesc(len(bias), in_features, *clip, *_csr(weights, bias))
        return self._plan("csr_gemm", desc, lambda shape: (shape[0], len(bias)))

    def dense(
        self, op: str, weights: Array, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``depthwise_conv`` (weights [C, 1, kh, kw]) or ``dense_conv`` (weights [M, C, kh, kw])."""
        stage = dense_stage(op, weights, bias, window, clip)
        return self._plan(op, stage.desc, self._conv_shape(window))

    def conv_chain(self, stages: Sequence[Stage]) -> Plan:
        """A plan of a chain of convolutions, each reading the output of the one before."""
        table = [_Stage(CHAIN_OPS[stage.op], ctypes.addressof(stage.desc)) for stage in stages]
        desc = _ConvChainDesc(len(stages), self._isa, (_Stage * MOST_STAGES)(*table))

        def out_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
            for stage in stages:
                x_shape = self._conv_shape(stage.window)(x_shape)
            return x_shape

        return self._plan("conv_chain", desc, out_shape)

    def global_average_pool(self) -> Plan:
        """A plan of ``GlobalAveragePool`` for planes [n, 1, h, w]."""
        return self._plan("global_average_pool", _PoolDesc(), lambda shape: (shape[0], 1, 1, 1))

    def _plan(self, op: str, desc: ctypes.Structure, out_shape: Callable[..., Any]) -> Plan:
        return Plan(self._library, op, desc, self._isa, out_shape, self._allocate)

    def _conv_shape(self, window: Geometry) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
        def out_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
            height, width = ctypes.c_int64(), ctypes.c_int64()
            arguments = (ctypes.byref(window), _shape(x_shape), ctypes.byref(height), ctypes.byref(width))
            self._library.ce_conv_output(*arguments)
            return (x_shape[0], window.out_channels, height.value, width.value)

        return out_shape


def _csr(weights: Csr, bias: Array) -> tuple[Any, ...]:
    return (
        _pointer(weights.values, _FLOATS),
        _pointer(weights.col_idx, _INTS),
        _pointer(weights.row_ptr, _INTS),
        _pointer(bias, _FLOATS),
    )


def _nm(weights: NmWeight) -> _NmWeight:
    values, index = _pointer(weights.values, _FLOATS), _pointer(weights.index, _BYTES)
    return _NmWeight(weights.values.shape[3], weights.m, values, index)


# name: (result, arguments), None standing for a pointer to the op's desc.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "plan_bytes": (ctypes.c_size_t, [None, ctypes.c_int]),
    "plan_init": (None, [ctypes.c_void_p, None, ctypes.c_int]),
    "scratch_bytes": (ctypes.c_size_t, [ctypes.c_void_p, Shape, ctypes.c_int]),
    "tasks": (ctypes.c_int, [ctypes.c_void_p, Shape, ctypes.c_int]),
    "run": (None, [ctypes.c_void_p, ctypes.POINTER(Run), ctypes.c_int]),
    "plan_isa": (ctypes.c_int, [ctypes.c_void_p]),
}
