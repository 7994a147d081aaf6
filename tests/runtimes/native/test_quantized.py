"""The int8 kernels of every instruction set against integers of numpy: equality, between unreadable pages.

The bytes around the pixels are garbage, another one for each of 1, 2, 3 and 16 threads, whose results must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import quantized_oracle as oracle
from kernel_isas import isas_of

from runtimes.bindings import Kernels
from runtimes.quantized import Blocks, Grid, QKernels, QPlan, pack, packed_bytes, unpack
from runtimes.structures import Geometry

Arrays = dict[str, np.ndarray]
THREADS = (1, 2, 3, 16)


def grids(rng: np.random.Generator, count: int, spread: float = 1.0) -> Iterator[Grid]:
    """Scales around 1/16, zero points that are often at an end."""
    for _ in range(count):
        scale = float(np.float32(np.exp2(rng.uniform(-spread, spread) - 4)))
        yield Grid(scale, int(rng.choice([0, 255, 128, rng.integers(256)])))


@pytest.fixture
def quantized(kernels: Callable[[str], Kernels], guarded: Any) -> Callable[[str], Any]:
    """Checks a plan of an ISA: its bytes are ``want``, whatever lies around x's pixels and however tasks are cut."""

    def make(isa: str) -> tuple[QKernels, Callable[..., None]]:
        made = QKernels(kernels(isa))

        def check(plan: QPlan, x: np.ndarray, want: np.ndarray, second: np.ndarray | None = None) -> None:
            for turn, threads in enumerate(THREADS):
                guarded.at_end = turn % 2 == 0
                got = plan.run(x, second, threads, backwards=turn == 1)
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(got, want)
            guarded.release()

        return made, check

    return make


def weights_of(rng: np.random.Generator, shape: tuple[int, ...], sparsity: float, low: int = -128) -> np.ndarray:
    """int8 weights, about ``sparsity`` of whose blocks of four inputs are zero."""
    weights = rng.integers(low, 128, shape).astype(np.int8)
    groups = -(-shape[1] // 4)
    kept = np.repeat(rng.random((shape[0], groups, *shape[2:])) >= sparsity, 4, axis=1)[:, : shape[1]]
    return np.where(kept, weights, 0).astype(np.int8)


def layer(rng: np.random.Generator, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w_scale and bias for which about half of the outputs saturate."""
    size = np.maximum(1, np.abs(weights.reshape(len(weights), -1).astype(np.int64)).sum(1))
    w_scale = (rng.uniform(0.5, 4, len(weights)) / np.sqrt(size) / 60).astype(np.float32)
    return w_scale, rng.integers(-20000, 20000, len(weights)).astype(np.int32)


SPARSITIES = (0.0, 0.5, 0.9, 1.0)
# out, in, height, width, kernel, stride, pads, dilation
CONVS = [
    *((9, channels, 3, 5, 1, 1, (0, 0, 0, 0), 1) for channels in (1, 3, 4, 5, 8, 31, 33)),
    *((outs, 8, 4, 4, 1, 1, (0, 0, 0, 0), 1) for outs in (1, 2, 3, 4, 5, 7, 8, 13)),
    *((5, 8, 1, width, 1, 1, (0, 0, 0, 0), 1) for width in (1, 15, 16, 17, 63, 64, 65, 127, 130, 257)),
    (6, 8, 9, 7, 3, 1, (1, 1, 1, 1), 1), (6, 5, 9, 8, 3, 2, (1, 1, 1, 1), 1), (4, 3, 11, 13, 3, 2, (0, 0, 1, 1), 1),
    (8, 8, 8, 8, 3, 1, (1, 1, 1, 1), 1), (4, 4, 16, 16, 3, 1, (1, 1, 1, 1), 1), (4, 6, 5, 33, 3, 1, (1, 1, 1, 1), 1),
    (7, 8, 12, 11, 3, 1, (2, 2, 2, 2), 2), (5, 4, 12, 11, 5, 1, (2, 2, 2, 2), 1), (5, 3, 23, 21, 7, 2, (3, 3, 3, 3), 1),
    (6, 8, 9, 7, 1, 2, (0, 0, 0, 0), 1), (6, 8, 10, 18, 1, 2, (0, 0, 0, 0), 1), (3, 4, 2, 2, 3, 1, (1, 1, 1, 1), 1),
    *((5, channels, height, width, 3, 1, pads, 1) for channels, height, width, pads in (  # output rows are vectors
        (8, 7, 32, (1, 1, 1, 1)), (5, 9, 48, (1, 1, 1, 1)), (4, 6, 18, (0, 0, 0, 0)), (8, 3, 15, (2, 1, 0, 2)),
        (80, 5, 16, (1, 1, 1, 1)), (4, 40, 16, (1, 1, 1, 1)), (4, 2, 160, (1, 1, 1, 1)), (9, 1, 32, (2, 1, 2, 1)))),
    (4, 4, 3, 3, 3, 3, (2, 0, 2, 1), 1), (4, 4, 7, 7, 2, 2, (0, 0, 0, 0), 1), (3, 8, 1, 1, 3, 1, (1, 1, 1, 1), 1),
]  # fmt: skip


@pytest.mark.parametrize("isa", isas_of("q_conv"))
def test_convolutions(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(1)
    for turn, (outs, channels, height, width, kernel, stride, pads, dilation) in enumerate(CONVS):
        weights = weights_of(rng, (outs, channels, kernel, kernel), SPARSITIES[turn % 4])
        w_scale, bias = layer(rng, weights)
        x_grid, y_grid = grids(rng, 2)
        x = rng.integers(0, 256, (1 + turn % 2, channels, height, width)).astype(np.uint8)
        geometry = Geometry(outs, channels, kernel, kernel, stride, stride, *pads, dilation, dilation)
        window = {"strides": (stride,) * 2, "pads": pads, "dilations": (dilation,) * 2}
        want = oracle.conv(x, weights, w_scale, bias, (x_grid, y_grid), **window)
        for stored in (weights, Blocks.of(weights), Blocks.of(weights, 2)):
            check(made.conv("q_conv", stored, w_scale, bias, geometry, x_grid, y_grid), x, want)


@pytest.mark.parametrize("isa", isas_of("q_conv"))
def test_rows_with_from_no_block_to_all_of_them(isa: str, quantized: Callable[[str], Any]) -> None:
    """What plans sort rows by; sums in two chains, and in K tiles."""
    made, check = quantized(isa)
    rng = np.random.default_rng(21)
    for outs, channels, kernel in ((37, 24, 1), (29, 200, 1), (11, 1300, 1), (18, 20, 3)):
        weights = rng.integers(-127, 128, (outs, channels, kernel, kernel)).astype(np.int8)
        kept = rng.random((outs, channels // 4, kernel, kernel)) < np.linspace(0, 1, outs).reshape(-1, 1, 1, 1)
        weights = np.where(kept.repeat(4, 1), weights, 0)[rng.permutation(outs)].astype(np.int8)
        w_scale, bias = layer(rng, weights)
        x_grid, y_grid = grids(rng, 2)
        x = rng.integers(0, 256, (1, channels, 5, 9)).astype(np.uint8)
        pads = (kernel // 2,) * 4
        geometry = Geometry(outs, channels, kernel, kernel, 1, 1, *pads, 1, 1)
        want = oracle.conv(x, weights, w_scale, bias, (x_grid, y_grid), pads=pads)
        for stored in (Blocks.of(weights), Blocks.of(weights, 2)):
            check(made.conv("q_conv", stored, w_scale, bias, geometry, x_grid, y_grid), x, want)


@pytest.mark.parametrize("op", ["q_conv", "q_depthwise_conv"])
@pytest.mark.parametrize("isa", isas_of("q_conv"))
def test_a_table_or_a_sum_after_a_convolution(isa: str, op: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(2)
    for turn in range(8):
        kernel = 1 if turn % 2 and op == "q_conv" else 3
        shape = (9, 1 if op == "q_depthwise_conv" else 9, kernel, kernel)
        weights = weights_of(rng, shape, 0.3)
        w_scale, bias = layer(rng, weights)
        x_grid, y_grid, r_grid, s_grid = grids(rng, 4)
        x, second = rng.integers(0, 256, (2, 2, 9, 5, 5 + 3 * turn)).astype(np.uint8)
        pads = (kernel // 2,) * 4
        geometry = Geometry(9, 9, kernel, kernel, 1, 1, *pads, 1, 1)
        want = oracle.conv(x, weights, w_scale, bias, (x_grid, y_grid), pads=pads, depthwise=op == "q_depthwise_conv")
        add = turn % 3
        table = None if add else rng.integers(0, 256, 256).astype(np.uint8)
        want = want if table is None else table[want]
        pair = ((want, y_grid), (second, r_grid))[:: -1 if add == 2 else 1]
        if add:
            want = oracle.add(pair[0][0], pair[1][0], pair[0][1], pair[1][1], s_grid)
        stored = Blocks.of(weights, 1 + turn % 2) if op == "q_conv" else weights
        plan = made.conv(op, stored, w_scale, bias, geometry, x_grid, y_grid, table, add, r_grid, s_grid)
        check(plan, x, want, second if add else None)


@pytest.mark.parametrize("isa", isas_of("q_conv"))
def test_sums_at_their_bound(isa: str, quantized: Callable[[str], Any]) -> None:
    """The largest weights and inputs of either sign, with and without a bias that fills int32."""
    made, check = quantized(isa)
    channels = 516
    for zero, weight, byte in ((0, 127, 255), (0, -128, 255), (255, 127, 0), (255, -128, 0), (128, -128, 0)):
        weights = np.full((5, channels, 1, 1), weight, np.int8)
        room = 2**31 - 1 - 255 * 128 * channels
        bias = np.array([room, -room, 0, 1, -1], np.int32)
        w_scale = np.full(5, 2.0**-22, np.float32)
        x = np.full((1, channels, 3, 7), byte, np.uint8)
        for y_zero in (0, 255):
            grids_of = Grid(1, zero), Grid(1, y_zero)
            want = oracle.conv(x, weights, w_scale, bias, grids_of)
            geometry = Geometry(5, channels, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1)
            for stored in (weights, Blocks.of(weights), Blocks.of(weights, 2)):
                check(made.conv("q_conv", stored, w_scale, bias, geometry, *grids_of), x, want)


@pytest.mark.parametrize("isa", isas_of("q_conv"))
def test_words_that_almost_fill_sixteen_bits(isa: str, quantized: Callable[[str], Any]) -> None:
    """Weights of which two to four products with 255 are just below, at and above the largest 16-bit number."""
    made, check = quantized(isa)
    rng = np.random.default_rng(13)
    x = rng.choice(np.array([0, 255], np.uint8), (1, 60, 3, 11), p=(0.1, 0.9))
    for sizes in ((32, 33), (64, 65), (127, 1), (128, 0), (43, 42, 44)):
        weights = rng.choice(np.array([*sizes, *(-size for size in sizes)]), (6, 60, 1, 1))
        weights = np.clip(weights, -128, 127).astype(np.int8)
        w_scale, bias = layer(rng, weights)
        x_grid, y_grid = grids(rng, 2)
        want = oracle.conv(x, weights, w_scale, bias, (x_grid, y_grid))
        geometry = Geometry(6, 60, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1)
        for stored in (weights, Blocks.of(weights), Blocks.of(weights, 2)):
            check(made.conv("q_conv", stored, w_scale, bias, geometry, x_grid, y_grid), x, want)


DEPTHWISE = [
    *((channels, 5, 5, 3, 1, (1, 1, 1, 1), 1) for channels in (1, 3, 4, 5, 8, 13)),
    *((4, height, width, 3, 1 + (width % 2), (1, 1, 1, 1), 1)
      for height, width in (
      (1, 1), (1, 2), (2, 1), (3, 7), (7, 7), (8, 14), (9, 15), (5, 16), (6, 17), (4, 31), (3, 33), (5, 56), (2, 70))),
    *((4, height, width, 5, 1 + (width % 2), (2, 2, 2, 2), 1)
      for height, width in ((1, 1), (3, 3), (7, 7), (9, 16), (5, 17), (6, 33))),
    (5, 9, 9, 3, 2, (0, 0, 1, 1), 1), (5, 9, 9, 3, 1, (0, 0, 0, 0), 1), (5, 12, 13, 3, 1, (2, 2, 2, 2), 2),
    (4, 9, 9, 7, 1, (3, 3, 3, 3), 1),
    (4, 9, 9, 3, 3, (1, 1, 1, 1), 1), (4, 8, 8, 2, 2, (0, 0, 0, 0), 1), (4, 6, 6, 1, 1, (0, 0, 0, 0), 1),
]  # fmt: skip


@pytest.mark.parametrize("isa", isas_of("q_depthwise_conv"))
def test_depthwise_convolutions(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(3)
    for turn, (channels, height, width, kernel, stride, pads, dilation) in enumerate(DEPTHWISE):
        weights = rng.integers(-128, 128, (channels, 1, kernel, kernel)).astype(np.int8)
        w_scale, bias = layer(rng, weights)
        x_grid, y_grid = grids(rng, 2)
        x = rng.integers(0, 256, (1 + turn % 2, channels, height, width)).astype(np.uint8)
        geometry = Geometry(channels, channels, kernel, kernel, stride, stride, *pads, dilation, dilation)
        window = {"strides": (stride,) * 2, "pads": pads, "dilations": (dilation,) * 2, "depthwise": True}
        want = oracle.conv(x, weights, w_scale, bias, (x_grid, y_grid), **window)
        check(made.conv("q_depthwise_conv", weights, w_scale, bias, geometry, x_grid, y_grid), x, want)


# channels, height, width, window, steps, pads, dilations
ANY_DEPTHWISE = [
    (5, 9, 20, (7, 7), (1, 1), (3, 3, 3, 3), (1, 1)), (4, 14, 14, (7, 7), (2, 2), (3, 3, 3, 3), (1, 1)),
    (6, 1, 50, (1, 9), (1, 1), (0, 8, 0, 0), (1, 1)), (3, 40, 1, (3, 1), (1, 1), (1, 0, 1, 0), (1, 1)),
    (4, 1, 40, (1, 3), (1, 1), (0, 8, 0, 0), (1, 4)), (4, 12, 35, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),
    (7, 11, 33, (3, 3), (2, 1), (1, 1, 1, 1), (1, 1)), (4, 11, 40, (3, 3), (1, 2), (1, 1, 1, 1), (1, 1)),
    (4, 13, 60, (3, 5), (3, 3), (0, 2, 1, 2), (1, 1)), (5, 20, 33, (2, 2), (2, 2), (0, 0, 0, 0), (3, 1)),
    (4, 5, 17, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)), (4, 3, 3, (9, 9), (1, 1), (8, 8, 8, 8), (1, 1)),
]  # fmt: skip


@pytest.mark.parametrize("isa", isas_of("q_depthwise_conv"))
def test_any_depthwise_windows(isa: str, quantized: Callable[[str], Any]) -> None:
    """Other windows than 3x3 and 5x5, other steps, dilations: by the kernel of the instruction set too."""
    made, check = quantized(isa)
    rng = np.random.default_rng(31)
    for turn, (channels, height, width, kernel, strides, pads, dilations) in enumerate(ANY_DEPTHWISE):
        weights = rng.integers(-128, 128, (channels, 1, *kernel)).astype(np.int8)
        w_scale, bias = layer(rng, weights)
        x_grid, y_grid = grids(rng, 2)
        x = rng.integers(0, 256, (1 + turn % 2, channels, height, width)).astype(np.uint8)
        geometry = Geometry(channels, channels, *kernel, *strides, *pads, *dilations)
        window = {"strides": strides, "pads": pads, "dilations": dilations, "depthwise": True}
        want = oracle.conv(x, weights, w_scale, bias, (x_grid, y_grid), **window)
        table = rng.integers(0, 256, 256).astype(np.uint8) if turn % 3 == 2 else None
        plan = made.conv("q_depthwise_conv", weights, w_scale, bias, geometry, x_grid, y_grid, table)
        assert plan.isa == isa
        check(plan, x, want if table is None else table[want])


@pytest.mark.parametrize("isa", isas_of("q_gemm"))
def test_linear_layers(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(4)
    sizes = [(1, 1), (3, 5), (4, 4), (10, 64), (17, 33), (16, 130), (33, 16), (100, 7), (65, 260), (9, 33), (51, 515)]
    for turn, (outs, ins) in enumerate(sizes):
        weights = weights_of(rng, (outs, ins), SPARSITIES[turn % 4])
        w_scale, bias = layer(rng, weights)
        x_grid, y_grid = grids(rng, 2)
        x = rng.integers(0, 256, (1 + turn % 3, ins, 1, 1)).astype(np.uint8)
        for y in (y_grid, None):
            want = oracle.gemm(x, weights, w_scale, bias, x_grid, y)
            for stored in (weights, Blocks.of(weights), Blocks.of(weights, 2)):
                check(made.gemm(stored, w_scale, bias, ins, x_grid, y), x, want)


SHAPES = [
    (1, 1, 1, 1),
    (1, 4, 3, 5),
    (2, 5, 4, 4),
    (3, 7, 1, 17),
    (1, 9, 7, 7),
    (1, 16, 8, 8),
    (2, 3, 33, 5),
    (1, 8, 2, 64),
]


@pytest.mark.parametrize("isa", isas_of("q_add"))
def test_sums(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(5)
    for shape in SHAPES:
        a, b = rng.integers(0, 256, (2, *shape)).astype(np.uint8)
        three = tuple(grids(rng, 3, 3))
        check(made.add(*three), a, oracle.add(a, b, *three), b)
    every = np.arange(65536).reshape(1, 4, 128, 128)
    a, b = (every // 256).astype(np.uint8), (every % 256).astype(np.uint8)
    for ratio in (0.25, 0.5, 1.0, 0.7):
        three = (Grid(ratio * 0.03125, 3), Grid(0.03125, 255), Grid(0.03125, 128))
        check(made.add(*three), a, oracle.add(a, b, *three), b)


@pytest.mark.parametrize("isa", isas_of("q_mul"))
def test_products(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(6)
    for turn, shape in enumerate(SHAPES):
        a = rng.integers(0, 256, shape).astype(np.uint8)
        b = rng.integers(0, 256, (*shape[:2], 1, 1)).astype(np.uint8)
        three = tuple(grids(rng, 3, 2)) if turn % 2 else (Grid(0.25, 0), Grid(1 / 128, 255), Grid(0.25, 75))
        check(made.mul(*three), a, oracle.mul(a, b, *three), b)


@pytest.mark.parametrize("isa", isas_of("q_global_average_pool"))
def test_means(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(7)
    for shape in SHAPES:
        x = rng.integers(0, 256, shape).astype(np.uint8)
        two = tuple(grids(rng, 2, 0.5))
        check(made.global_average_pool(*two), x, oracle.global_average_pool(x, *two))


@pytest.mark.parametrize("isa", isas_of("q_max_pool"))
def test_largest_values(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(8)
    for shape in SHAPES:
        for kernel, stride, pads in ((1, 1, (0,) * 4), (3, 2, (1,) * 4), (2, 2, (0, 0, 1, 1)), (3, 1, (2, 0, 1, 2))):
            if kernel > min(shape[2] + pads[0] + pads[2], shape[3] + pads[1] + pads[3]):
                continue
            x = rng.integers(0, 256, shape).astype(np.uint8)
            window = Geometry(1, 1, kernel, kernel, stride, stride, *pads, 1, 1)
            check(made.max_pool(window), x, oracle.max_pool(x, (kernel,) * 2, (stride,) * 2, pads))


@pytest.mark.parametrize("isa", isas_of("q_table"))
def test_tables(isa: str, quantized: Callable[[str], Any]) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(9)
    for shape in SHAPES:
        x, table = rng.integers(0, 256, shape).astype(np.uint8), rng.integers(0, 256, 256).astype(np.uint8)
        check(made.table(table), x, table[x])


@pytest.mark.parametrize("isa", isas_of("q_quantize"))
def test_floats_in_and_out(isa: str, quantized: Callable[[str], Any], guarded: Any) -> None:
    made, check = quantized(isa)
    rng = np.random.default_rng(10)
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 1e38, -1e38, 3e9, -3e9, 0.5, 1.5, 2.5, -0.5], np.float32)
    for shape in SHAPES:
        for grid in grids(rng, 3, 3):
            x = rng.normal(0, 100 * grid.scale, shape).astype(np.float32)
            flat = x.reshape(-1)
            flat[:: 1 + flat.size // 50] = np.resize(
                special * np.float32(grid.scale), flat[:: 1 + flat.size // 50].shape
            )
            check(made.quantize(grid), guarded.array(x), oracle.quantize(x, grid))
            q = rng.integers(0, 256, shape).astype(np.uint8)
            check(made.dequantize(grid), q, oracle.dequantize(q, grid))


def test_the_layout_keeps_every_byte() -> None:
    rng = np.random.default_rng(11)
    for shape in SHAPES:
        x = rng.integers(0, 256, shape).astype(np.uint8)
        packed = pack(x)
        assert packed.nbytes == packed_bytes(shape) and packed.ctypes.data % 64 == 0
        np.testing.assert_array_equal(unpack(packed, shape), x)


def test_blocks_hold_the_weights_that_are_not_zero() -> None:
    weights = weights_of(np.random.default_rng(12), (5, 7, 3, 3), 0.6)
    for block_rows in (1, 2):
        blocks, dense = Blocks.of(weights, block_rows), np.zeros((6, 8, 9), np.int8)
        for row in range(len(blocks.row_ptr) - 1):
            for at in range(blocks.row_ptr[row], blocks.row_ptr[row + 1]):
                group, tap = divmod(int(blocks.col_idx[at]), 9)
                rows = slice(row * block_rows, (row + 1) * block_rows)
                dense[rows, group * 4 : group * 4 + 4, tap] = blocks.values[at]
        np.testing.assert_array_equal(dense[:5, :7], weights.reshape(5, 7, 9))
        assert not dense[5:].any() and not dense[:, 7:].any()
