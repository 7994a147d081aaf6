"""Nodes of the op QSequence with random weights, and what numpy's integers make of them, stage by stage."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import quantized_oracle as oracle
from onnx import TensorProto, helper, numpy_helper

from runtimes.quantized import Blocks, Grid

OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid("chita.edge", 1)]
Window = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """A stage: its constants in the order of the node's inputs, and what it makes of values."""

    name: str
    source: int
    second: int | None
    constants: dict[str, np.ndarray]
    attributes: dict[str, Any]
    compute: Callable[..., np.ndarray]


def narrowest(columns: np.ndarray) -> np.ndarray:
    """Block columns in the narrowest type that holds them."""
    most = int(columns.max(initial=0))
    return columns.astype(np.uint8 if most < 256 else np.uint16 if most < 65536 else np.int32)


@dataclass
class QNet:
    """Stages that are added one by one; each method answers the number of the value that its stage makes."""

    rng: np.random.Generator
    channels: list[int]
    """Of each value; at first those of X alone."""
    stages: list[Stage] = field(default_factory=list)
    grids: list[Grid | None] = field(default_factory=lambda: [None])

    def _push(
        self, name: str, source: int, channels: int, grid: Grid | None, constants: dict[str, np.ndarray],
        compute: Callable[..., np.ndarray], second: int | None = None, **attributes: Any,
    ) -> int:  # fmt: skip
        if grid is not None and name != "QMaxPool":
            constants = constants | {
                "y_scale": np.array(grid.scale, np.float32),
                "y_zero": np.array(grid.zero, np.uint8),
            }
        self.stages.append(Stage(name, source, second, constants, attributes, compute))
        self.channels.append(channels)
        self.grids.append(grid)
        return len(self.stages)

    def grid(self, scale: float | None = None) -> Grid:
        """A random grid."""
        size = scale or float(np.exp2(self.rng.uniform(-5, -3)))
        return Grid(float(np.float32(size)), int(self.rng.choice([0, 255, 128, self.rng.integers(256)])))

    def _of(self, value: int) -> Grid:
        grid = self.grids[value]
        assert grid is not None
        return grid

    def quantize(self, grid: Grid | None = None) -> int:
        """Quantize, from X."""
        own = grid or self.grid(1 / 32)
        return self._push("Quantize", 0, self.channels[0], own, {}, lambda x: oracle.quantize(x, own))

    def dequantize(self, source: int) -> int:
        """Dequantize."""
        grid = self._of(source)
        return self._push("Dequantize", source, self.channels[source], None, {}, lambda q: oracle.dequantize(q, grid))

    def _weights(self, shape: tuple[int, ...], sparsity: float) -> np.ndarray:
        groups = -(-shape[1] // 4)
        kept = np.repeat(self.rng.random((shape[0], groups, *shape[2:])) >= sparsity, 4, axis=1)[:, : shape[1]]
        return np.where(kept, self.rng.integers(-128, 128, shape), 0).astype(np.int8)

    def _layer(self, weights: np.ndarray, block_rows: int) -> dict[str, np.ndarray]:
        """Constants of weights in blocks of rows, or dense where block_rows is 0; many outputs saturate."""
        size = np.maximum(1, np.abs(weights.reshape(len(weights), -1).astype(np.int64)).sum(1))
        bias = self.rng.integers(-9000, 9000, len(weights)).astype(np.int32)
        scales = {
            "w_scale": (self.rng.uniform(0.5, 4, len(weights)) / np.sqrt(size) / 60).astype(np.float32),
            "bias": bias,
        }
        if not block_rows:
            return {"W": weights, **scales}
        blocks = Blocks.of(weights, block_rows)
        return {
            "values": blocks.values if block_rows == 2 else blocks.values[:, 0],
            "col_idx": narrowest(blocks.col_idx),
            "row_ptr": blocks.row_ptr,
            "weight_shape": np.array(weights.shape, np.int64),
            **scales,
        }

    def conv(
        self, source: int, out: int, kernel: int = 1, *, block_rows: int = 1, sparsity: float = 0.6, stride: int = 1,
        pads: tuple[int, ...] | None = None, dilation: int = 1, depthwise: bool = False, grid: Grid | None = None,
    ) -> int:  # fmt: skip
        """QBlockConv, QDenseConv where block_rows is 0, or QDepthwiseConv."""
        channels, own, x_grid = self.channels[source], grid or self.grid(), self._of(source)
        half = dilation * (kernel - 1) // 2
        sides = pads or (half,) * 4
        shape = (out, 1 if depthwise else channels, kernel, kernel)
        weights = self._weights(shape, 0 if depthwise else sparsity)
        constants = self._layer(weights, 0 if depthwise else block_rows)
        w_scale, bias = constants["w_scale"], constants["bias"]
        window = {"strides": (stride,) * 2, "pads": sides, "dilations": (dilation,) * 2}

        def compute(x: np.ndarray) -> np.ndarray:
            found: np.ndarray = oracle.conv(x, weights, w_scale, bias, (x_grid, own), depthwise=depthwise, **window)
            return found

        name = "QDepthwiseConv" if depthwise else "QBlockConv" if block_rows else "QDenseConv"
        return self._push(name, source, out, own, constants, compute, **{k: list(v) for k, v in window.items()})

    def gemm(self, source: int, out: int, *, block_rows: int = 0, to_float: bool = True) -> int:
        """QDenseGemmFloat, or one of the other three."""
        x_grid, own = self._of(source), None if to_float else self.grid()
        weights = self._weights((out, self.channels[source]), 0.5 if block_rows else 0)
        constants = self._layer(weights, block_rows)
        w_scale, bias = constants["w_scale"], constants["bias"]
        name = ("QBlockGemm" if block_rows else "QDenseGemm") + ("Float" if to_float else "")

        def compute(x: np.ndarray) -> np.ndarray:
            found: np.ndarray = oracle.gemm(x, weights, w_scale, bias, x_grid, own)
            return found

        return self._push(name, source, out, own, constants, compute)

    def add(self, a: int, b: int) -> int:
        """QAdd."""
        grids = self._of(a), self._of(b), self.grid()
        return self._push("QAdd", a, self.channels[a], grids[2], {}, lambda p, q: oracle.add(p, q, *grids), b)

    def mul(self, a: int, b: int) -> int:
        """QMul."""
        grids = self._of(a), self._of(b), self.grid(self._of(a).scale)
        return self._push("QMul", a, self.channels[a], grids[2], {}, lambda p, q: oracle.mul(p, q, *grids), b)

    def mean(self, source: int) -> int:
        """QGlobalAveragePool."""
        grids = self._of(source), self.grid()
        pooled = functools.partial(oracle.global_average_pool, grid=grids[0], y=grids[1])
        return self._push("QGlobalAveragePool", source, self.channels[source], grids[1], {}, pooled)

    def max_pool(self, source: int, kernel: int = 3, stride: int = 2, pads: tuple[int, ...] = (1, 1, 1, 1)) -> int:
        """QMaxPool."""
        window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": list(pads)}
        pooled = functools.partial(oracle.max_pool, kernel=(kernel,) * 2, strides=(stride,) * 2, pads=pads)
        return self._push("QMaxPool", source, self.channels[source], self._of(source), {}, pooled, **window)

    def table(self, source: int) -> int:
        """QTable."""
        table = self.rng.integers(0, 256, 256).astype(np.uint8)
        grid = self.grid()
        return self._push("QTable", source, self.channels[source], grid, {"table": table}, lambda q: table[q])

    @property
    def text(self) -> str:
        """The attribute stages."""
        seconds = ("" if stage.second is None else f"+{stage.second}" for stage in self.stages)
        return " ".join(f"{s.name}:{s.source}{second}" for s, second in zip(self.stages, seconds, strict=True))

    def constants(self) -> dict[str, np.ndarray]:
        """All constants, by the names of the node's inputs, in their order."""
        return {f"{key}_{i}": array for i, stage in enumerate(self.stages) for key, array in stage.constants.items()}

    def attributes(self) -> dict[str, Any]:
        """All attributes of the node."""
        own = {f"{key}_{i}": value for i, stage in enumerate(self.stages) for key, value in stage.attributes.items()}
        return {"stages": self.text, **own}

    def model(self, op: str = "QSequence", drop: tuple[str, ...] = (), **changed: Any) -> bytes:
        """A model of this one node; arrays and attributes of ``changed`` take the place of its own, None drops one."""
        arrays = {k: v for k, v in (self.constants() | changed).items() if isinstance(v, np.ndarray) and k not in drop}
        others = {
            k: v for k, v in (self.attributes() | changed).items() if not isinstance(v, np.ndarray) and v is not None
        }
        node = helper.make_node(op, ["X", *arrays], ["Y"], name="region", domain="chita.edge", **others)
        graph = helper.make_graph(
            [node],
            "quantized",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, None)],
            [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(array), key) for key, array in arrays.items()],
        )
        proto: bytes = helper.make_model(graph, ir_version=10, opset_imports=OPSETS).SerializeToString()
        return proto

    def oracle(self, x: np.ndarray) -> np.ndarray:
        """Y for an X."""
        values = [x]
        for stage in self.stages:
            given = [values[stage.source]] + ([] if stage.second is None else [values[stage.second]])
            values.append(stage.compute(*given))
        return values[-1]
