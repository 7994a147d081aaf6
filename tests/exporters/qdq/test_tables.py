"""Tables of 256 codes against the function itself in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from exporters.qdq.grid import Grid
from exporters.qdq.tables import CODES, evaluate, product_table

FROM, TO = Grid(np.float32(0.05), 128), Grid(np.float32(0.03), 40)
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "HardSwish": lambda x: x * min(max(x / 6 + 0.5, 0), 1),
    "Tanh": math.tanh,
    "Relu": lambda x: max(x, 0),
    "Abs": abs,
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_a_table_holds_the_nearest_codes(op: str) -> None:
    source = ir.Value(name="x")
    node = ir.node(op, [source])
    node.outputs[0].name = "y"
    ir.Graph([source], [node.outputs[0]], nodes=[node], opset_imports={"": 22})
    table = TO.codes(evaluate([node], source, node.outputs[0], CODES, FROM))
    exact = np.array([FUNCTIONS[op](0.05 * (code - 128)) / 0.03 + 40 for code in range(256)])
    assert float(np.abs(table - np.clip(exact, 0, 255)).max()) <= 0.5 + 1e-4


def test_products_of_two_tables() -> None:
    table = product_table(CODES, FROM, CODES[::-1], TO, Grid(np.float32(0.2), 7))
    exact = 0.05 * (CODES - 128.0) * 0.03 * (CODES[::-1] - 40.0) / 0.2 + 7
    assert float(np.abs(table - np.clip(exact, 0, 255)).max()) <= 0.5 + 1e-4
