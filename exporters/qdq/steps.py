"""A quantised network as steps from uint8 codes to uint8 codes, each of which a stage of QSequence can take over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from exporters.ops._op import Attribute
from exporters.qdq.constants import Weight
from exporters.qdq.grid import Grid
from exporters.weights.dtypes import Array

QUANTIZE = "Quantize"


@dataclass(frozen=True, eq=False)
class Code:
    """A value of uint8 codes. value: in the file, of uint8 or int8. shape: channels, height, width, 1 where a matrix.

    rank: dimensions in the file, 4 or 2. root, table: of a value that is looked up, the value it is made of and how.
    inner: whether it is between two steps of one QuantizeLinear, so that the file has no such codes.
    """

    value: ir.Value
    grid: Grid
    shape: tuple[int, int, int]
    rank: int = 4
    root: Code | None = None
    table: Array | None = None
    inner: bool = False

    @property
    def elements(self) -> int:
        """Codes of one image."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Step:
    """One operation on codes.

    op: ``Quantize`` (reads ``real``), ``QConv``, ``QDepthwiseConv``, ``QGemm``, ``QAdd``, ``QMul``,
    ``QGlobalAveragePool``, ``QMaxPool`` or ``QTable``. output: None for a QGemm whose result stays float32, in
    ``real``. covers: the nodes that are not needed once it is taken over, unless others read what they make. groups: of
    a QConv, which the weight has as zeros between them.
    """

    op: str
    name: str
    reads: tuple[Code, ...]
    output: Code | None
    covers: tuple[ir.Node, ...]
    real: ir.Value | None = None
    weight: Weight | None = None
    bias: Array | None = None
    table: Array | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    groups: int = 1

    @property
    def out_pixels(self) -> int:
        """Height times width of the output."""
        return 1 if self.output is None else self.output.shape[1] * self.output.shape[2]
