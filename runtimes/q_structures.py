"""The structures of ``native/edge.h`` that the int8 ops are made from, for ctypes."""

from __future__ import annotations

import ctypes
from typing import Any

from runtimes.structures import FLOATS, INTS, Dtypes, Geometry

_SIGNED = ctypes.POINTER(ctypes.c_int8)
_TABLE = ctypes.POINTER(ctypes.c_uint8)
_DTYPES: list[tuple[str, Any]] = [("dtypes", Dtypes)]
_WEIGHTS: list[tuple[str, Any]] = [
    ("values", _SIGNED),
    ("col_idx", INTS),
    ("row_ptr", INTS),
    ("w_scale", FLOATS),
    ("bias", INTS),
]


class QGrid(ctypes.Structure):
    """``ce_q_grid``: a real value is scale * (q - zero)."""

    _fields_ = [("scale", ctypes.c_float), ("zero", ctypes.c_int32)]


class QConvDesc(ctypes.Structure):
    """``ce_q_conv_desc`` and ``ce_q_depthwise_conv_desc``."""

    _fields_ = [
        *_DTYPES,
        ("geometry", Geometry),
        ("x", QGrid),
        ("y", QGrid),
        ("block_rows", ctypes.c_int32),
        *_WEIGHTS,
        ("table", _TABLE),
        ("add", ctypes.c_int32),
        ("residual", QGrid),
        ("sum", QGrid),
    ]


class QGemmDesc(ctypes.Structure):
    """``ce_q_gemm_desc``."""

    _fields_ = [
        *_DTYPES,
        *((name, ctypes.c_int32) for name in ("out_features", "in_features")),
        ("x", QGrid),
        ("y", QGrid),
        *((name, ctypes.c_int32) for name in ("block_rows", "to_float")),
        *_WEIGHTS,
    ]


class QAddDesc(ctypes.Structure):
    """``ce_q_add_desc`` and ``ce_q_mul_desc``."""

    _fields_ = [*_DTYPES, ("a", QGrid), ("b", QGrid), ("y", QGrid)]


class QAverageDesc(ctypes.Structure):
    """``ce_q_global_average_pool_desc``."""

    _fields_ = [*_DTYPES, ("x", QGrid), ("y", QGrid)]


class QMaxPoolDesc(ctypes.Structure):
    """``ce_q_max_pool_desc``."""

    _fields_ = [*_DTYPES, ("geometry", Geometry)]


class QTableDesc(ctypes.Structure):
    """``ce_q_table_desc``."""

    _fields_ = [*_DTYPES, ("table", _TABLE)]


class QQuantizeDesc(ctypes.Structure):
    """``ce_q_quantize_desc`` and ``ce_q_dequantize_desc``."""

    _fields_ = [*_DTYPES, ("grid", QGrid)]


Q_DESCS: dict[str, type[ctypes.Structure]] = {
    "q_conv": QConvDesc,
    "q_depthwise_conv": QConvDesc,
    "q_gemm": QGemmDesc,
    "q_add": QAddDesc,
    "q_mul": QAddDesc,
    "q_global_average_pool": QAverageDesc,
    "q_max_pool": QMaxPoolDesc,
    "q_table": QTableDesc,
    "q_quantize": QQuantizeDesc,
    "q_dequantize": QQuantizeDesc,
}
