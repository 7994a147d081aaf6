"""The structures of ``native/edge.h`` for ctypes; what their members mean stands there."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy.typing as npt

from runtimes.packed_weights import Array, Csr, NmWeight

FLOATS = ctypes.POINTER(ctypes.c_float)
INTS = ctypes.POINTER(ctypes.c_int32)
BYTES = ctypes.POINTER(ctypes.c_uint8)


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
    """``ce_shape``: batch, height, width and channels of an input."""

    _fields_ = [(name, ctypes.c_int64) for name in "nhwc"]


class Run(ctypes.Structure):
    """``ce_run``: the arguments of one run."""

    _fields_ = [
        ("shape", Shape),
        *((name, ctypes.c_void_p) for name in ("x", "residual", "y", "scratch")),
        ("threads", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("band", "feed")),
    ]


class Dtypes(ctypes.Structure):
    """``ce_dtypes``: numbers of ``dtypes.inc``, float32 where they are left out."""

    _fields_ = [("compute", ctypes.c_int32), ("values", ctypes.c_int32)]


_DTYPES: list[tuple[str, Any]] = [("dtypes", Dtypes)]
_CLIP: list[tuple[str, Any]] = [("clip_min", ctypes.c_float), ("clip_max", ctypes.c_float)]
_CSR: list[tuple[str, Any]] = [("values", FLOATS), ("col_idx", INTS), ("row_ptr", INTS), ("bias", FLOATS)]
_LAST: list[tuple[str, Any]] = [("activation", ctypes.c_int32)]
_ROWS: list[tuple[str, Any]] = [("rows", ctypes.c_int32)]


class CsrConvDesc(ctypes.Structure):
    """``ce_csr_conv_desc``."""

    _fields_ = [*_DTYPES, ("geometry", Geometry), *_CLIP, *_CSR, *_LAST]


class BlockCsrConvDesc(ctypes.Structure):
    """``ce_block_csr_conv_desc``."""

    _fields_ = [("csr", CsrConvDesc), ("block_rows", ctypes.c_int32)]


class PackedNm(ctypes.Structure):
    """``ce_nm_weight``."""

    _fields_ = [("n", ctypes.c_int32), ("m", ctypes.c_int32), ("values", FLOATS), ("index", BYTES)]


_NM: list[tuple[str, Any]] = [("weight", PackedNm), ("bias", FLOATS)]


class NmConvDesc(ctypes.Structure):
    """``ce_nm_conv_desc``."""

    _fields_ = [*_DTYPES, ("geometry", Geometry), *_CLIP, *_NM, *_LAST]


class NmGemmDesc(ctypes.Structure):
    """``ce_nm_gemm_desc``."""

    _fields_ = [
        *_DTYPES,
        ("out_features", ctypes.c_int32),
        ("in_features", ctypes.c_int32),
        *_CLIP,
        *_NM,
        *_LAST,
        *_ROWS,
    ]


class CsrGemmDesc(ctypes.Structure):
    """``ce_csr_gemm_desc``."""

    _fields_ = [
        *_DTYPES,
        ("out_features", ctypes.c_int32),
        ("in_features", ctypes.c_int32),
        *_CLIP,
        *_CSR,
        *_LAST,
        *_ROWS,
    ]


class DenseDesc(ctypes.Structure):
    """``ce_depthwise_conv_desc`` and ``ce_dense_conv_desc``."""

    _fields_ = [*_DTYPES, ("geometry", Geometry), *_CLIP, ("weights", FLOATS), ("bias", FLOATS), *_LAST]


class PoolDesc(ctypes.Structure):
    """``ce_global_average_pool_desc``."""

    _fields_ = _DTYPES


class ChainStage(ctypes.Structure):
    """``ce_stage``."""

    _fields_ = [("op", ctypes.c_int32), ("desc", ctypes.c_void_p)]


MOST_STAGES = 9
CHAIN_OPS = {"csr_conv": 0, "depthwise_conv": 1, "dense_conv": 2}


class ConvChainDesc(ctypes.Structure):
    """``ce_conv_chain_desc``."""

    _fields_ = [*_DTYPES, ("count", ctypes.c_int32), ("isa", ctypes.c_int32), ("stages", ChainStage * MOST_STAGES)]


DESCS: dict[str, type[ctypes.Structure]] = {
    "csr_conv": CsrConvDesc,
    "block_csr_conv": BlockCsrConvDesc,
    "nm_conv": NmConvDesc,
    "csr_gemm": CsrGemmDesc,
    "nm_gemm": NmGemmDesc,
    "depthwise_conv": DenseDesc,
    "dense_conv": DenseDesc,
    "global_average_pool": PoolDesc,
    "conv_chain": ConvChainDesc,
}


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


def pointer(array: npt.NDArray[Any], kind: Any) -> Any:
    """Where the array's elements begin."""
    return array.ctypes.data_as(kind)


def csr_pointers(weights: Csr, bias: Array) -> tuple[Any, ...]:
    """values, col_idx, row_ptr and bias, in the order of the structures."""
    return (
        pointer(weights.values, FLOATS),
        pointer(weights.col_idx, INTS),
        pointer(weights.row_ptr, INTS),
        pointer(bias, FLOATS),
    )


def nm_pointers(weights: NmWeight) -> PackedNm:
    """N:M weights, whose arrays the caller keeps."""
    values, index = pointer(weights.values, FLOATS), pointer(weights.index, BYTES)
    return PackedNm(weights.values.shape[3], weights.m, values, index)


def shape_of(x_shape: tuple[int, ...]) -> Shape:
    """The shape of a run on x: [N, C, H, W], or [N, K]."""
    return Shape(x_shape[0], *(x_shape[2:] if len(x_shape) == 4 else (1, 1)), x_shape[1])


# name: (result, arguments), None standing for a pointer to the op's desc.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "plan_bytes": (ctypes.c_size_t, [None, ctypes.c_int]),
    "plan_init": (None, [ctypes.c_void_p, None, ctypes.c_int]),
    "scratch_bytes": (ctypes.c_size_t, [ctypes.c_void_p, Shape, ctypes.c_int]),
    "tasks": (ctypes.c_int, [ctypes.c_void_p, Shape, ctypes.c_int]),
    "run": (None, [ctypes.c_void_p, ctypes.POINTER(Run), ctypes.c_int]),
    "plan_isa": (ctypes.c_int, [ctypes.c_void_p]),
}
