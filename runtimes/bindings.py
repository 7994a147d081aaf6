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
from runtimes.packed_weights import Array, Csr, NmWeight
from runtimes.platforms import BEST_ISA, isas
from runtimes.q_structures import Q_DESCS
from runtimes.structures import (
    CHAIN_OPS,
    DESCS,
    FLOATS,
    FUNCTIONS,
    MOST_STAGES,
    BlockCsrConvDesc,
    ChainStage,
    ConvChainDesc,
    CsrConvDesc,
    CsrGemmDesc,
    DenseDesc,
    Dtypes,
    Geometry,
    NmConvDesc,
    NmGemmDesc,
    PoolDesc,
    Run,
    csr_pointers,
    nm_pointers,
    pointer,
    shape_of,
)

ISAS = {**isas(), "best": BEST_ISA}
ACTIVATIONS = {"clip": 0, "hard_swish": 1, "silu": 2}
ALIGNMENT = 64


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
    return Stage(
        "csr_conv", CsrConvDesc(Dtypes(), window, *clip, *csr_pointers(weights, bias)), window, (weights, bias)
    )


def dense_stage(
    op: str, weights: Array, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
) -> Stage:
    """A ``depthwise_conv`` or a ``dense_conv``."""
    desc = DenseDesc(Dtypes(), window, *clip, pointer(weights, FLOATS), pointer(bias, FLOATS))
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
        self._library, self._op, self._out_shape, self.allocate = library, op, out_shape, allocate
        self.bytes = self._call("plan_bytes", ctypes.byref(desc), isa)
        self._memory = allocate(self.bytes)
        self.pointer = ctypes.c_void_p(self._memory.ctypes.data)
        self._call("plan_init", self.pointer, ctypes.byref(desc), isa)
        self.isa = next(name for name, value in ISAS.items() if value == self._call("plan_isa", self.pointer))

    def _call(self, name: str, *arguments: Any) -> int:
        return int(getattr(self._library, f"ce_{self._op}_{name}")(*arguments) or 0)

    def out_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of y for a shape of x."""
        return tuple(self._out_shape(x_shape))

    def scratch_bytes(self, x_shape: tuple[int, ...], threads: int = 1) -> int:
        """Bytes of scratch that ``threads`` threads need."""
        return self._call("scratch_bytes", self.pointer, shape_of(x_shape), threads)

    def bind(self, x: Array, y: Array, residual: Array | None = None, threads: int = 1) -> Callable[[], None]:
        """A call without arguments that runs all tasks on ``x`` and fills ``y``."""
        shape = shape_of(x.shape)
        scratch = self.allocate(self.scratch_bytes(x.shape, threads))
        added = None if residual is None else residual.ctypes.data
        run = Run(shape, x.ctypes.data, added, y.ctypes.data, scratch.ctypes.data, threads)
        function, argument, plan = getattr(self._library, f"ce_{self._op}_run"), ctypes.byref(run), self.pointer
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


class Kernels:
    """The kernels of one shared library.

    ``isa`` hides all ISAs above it from plans made through this object; ``allocate`` makes their plans and scratches.
    """

    def __init__(self, path: Path, isa: str = "best", allocate: Allocator = aligned) -> None:
        try:
            self.library = ctypes.CDLL(str(path))
        except OSError as error:
            raise LibraryMissingError(f"the kernel library {path} cannot be loaded: {error}") from error
        self._isa, self._allocate = ISAS[isa], allocate
        for op, kind in (DESCS | Q_DESCS).items():
            functions = {name: getattr(self.library, f"ce_{op}_{name}") for name in FUNCTIONS}
            for name, (result, arguments) in FUNCTIONS.items():
                functions[name].restype = result
                functions[name].argtypes = [ctypes.POINTER(kind) if a is None else a for a in arguments]

    def available(self) -> str:
        """The ISA that plans made through this object use at most."""
        usable = self.library.ce_usable_isas()
        return [name for name, value in ISAS.items() if value <= self._isa and usable >> value & 1][-1]

    def csr_conv(
        self, weights: Csr, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``CsrConv``; the rows of ``weights`` are output channels, its columns (in_channel, kh, kw)."""
        stage = csr_stage(weights, bias, window, clip)
        return self.plan(stage.op, stage.desc, self.conv_shape(window))

    def block_csr_conv(
        self, weights: Csr, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``BlockCsrConv``; ``weights`` from ``Csr.of_blocks``."""
        desc = BlockCsrConvDesc(
            CsrConvDesc(Dtypes(), window, *clip, *csr_pointers(weights, bias)), weights.values.shape[1]
        )
        return self.plan("block_csr_conv", desc, self.conv_shape(window))

    def nm_conv(
        self, weights: NmWeight, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``NmConv``."""
        desc = NmConvDesc(Dtypes(), window, *clip, nm_pointers(weights), pointer(bias, FLOATS))
        return self.plan("nm_conv", desc, self.conv_shape(window))

    def nm_gemm(
        self,
        weights: NmWeight,
        bias: Array,
        in_features: int,
        clip: tuple[float, float] = (-np.inf, np.inf),
        rows: int = 0,
    ) -> Plan:
        """A plan of ``NmGemm``; rows: of X in a run, 0 where it is not known."""
        desc = NmGemmDesc(Dtypes(), len(bias), in_features, *clip, nm_pointers(weights), pointer(bias, FLOATS), 0, rows)
        return self.plan("nm_gemm", desc, lambda shape: (shape[0], len(bias)))

    def csr_gemm(
        self,
        weights: Csr,
        bias: Array,
        in_features: int,
        clip: tuple[float, float] = (-np.inf, np.inf),
        rows: int = 0,
    ) -> Plan:
        """A plan of ``CsrGemm``; rows: of X in a run, 0 where it is not known."""
        desc = CsrGemmDesc(Dtypes(), len(bias), in_features, *clip, *csr_pointers(weights, bias), 0, rows)
        return self.plan("csr_gemm", desc, lambda shape: (shape[0], len(bias)))

    def dense(
        self, op: str, weights: Array, bias: Array, window: Geometry, clip: tuple[float, float] = (-np.inf, np.inf)
    ) -> Plan:
        """A plan of ``depthwise_conv`` (weights [C, 1, kh, kw]) or ``dense_conv`` (weights [M, C, kh, kw])."""
        stage = dense_stage(op, weights, bias, window, clip)
        return self.plan(op, stage.desc, self.conv_shape(window))

    def conv_chain(self, stages: Sequence[Stage]) -> Plan:
        """A plan of a chain of convolutions, each reading the output of the one before."""
        table = [ChainStage(CHAIN_OPS[stage.op], ctypes.addressof(stage.desc)) for stage in stages]
        desc = ConvChainDesc(Dtypes(), len(stages), self._isa, (ChainStage * MOST_STAGES)(*table))

        def out_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
            for stage in stages:
                x_shape = self.conv_shape(stage.window)(x_shape)
            return x_shape

        return self.plan("conv_chain", desc, out_shape)

    def global_average_pool(self) -> Plan:
        """A plan of ``GlobalAveragePool`` for planes [n, 1, h, w]."""
        return self.plan("global_average_pool", PoolDesc(), lambda shape: (shape[0], 1, 1, 1))

    def plan(self, op: str, desc: ctypes.Structure, out_shape: Callable[..., Any]) -> Plan:
        """A plan of any op; ``out_shape`` says y's shape for one of x."""
        return Plan(self.library, op, desc, self._isa, out_shape, self._allocate)

    def conv_shape(self, window: Geometry) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
        """From the shape of a window's input to that of its output."""

        def out_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
            height, width = ctypes.c_int64(), ctypes.c_int64()
            arguments = (ctypes.byref(window), shape_of(x_shape), ctypes.byref(height), ctypes.byref(width))
            self.library.ce_conv_output(*arguments)
            return (x_shape[0], window.out_channels, height.value, width.value)

        return out_shape
