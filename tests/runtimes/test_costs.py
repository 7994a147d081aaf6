"""The cost tables: what is in them, and what is read off them for layers that are not."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes import TARGETS, LayerCostKey
from runtimes.costs import CostPoint, CostTable, load_table

OPS = {"CsrConv", "CsrGemm", "DepthwiseConv", "DenseConv"}
LAYER = LayerCostKey("CsrConv", 64, 64, out_pixels=100)
POINT = CostPoint(LAYER, 10.0, (0.1, 0.5, 1.0), (2.0, 12.0, 11.0))
TABLE = CostTable("µs", 0.001, (POINT,))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_measured_layer_costs_what_was_measured(name: str) -> None:
    table = load_table(name)
    assert {point.layer.op for point in table.points} | table.grids.keys() >= OPS
    assert table.reorder > 0
    for point in table.points:
        cost = table.cost(point.layer, point.densities[-1])
        assert (cost.dense, cost.ours) == pytest.approx((point.dense, max(point.ours)))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_windows_are_measured_as_well(name: str) -> None:
    assert {point.layer.kernel for point in load_table(name).points if point.layer.op == "CsrConv"} >= {(1, 1), (3, 3)}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_cost_is_positive_and_does_not_fall_with_density_where_there_is_one(name: str) -> None:
    known = 0
    for channels, pixels, kernel in itertools.product((1, 100, 5000), (1, 777, 10**6), (1, 3, 7)):
        for op in sorted(OPS):
            layer = LayerCostKey(op, channels, channels, (kernel, kernel), out_pixels=pixels)
            costs = [TARGETS[name].table.cost(layer, percent / 100) for percent in range(0, 101, 10)]
            found = [cost for cost in costs if cost is not None]
            known += bool(found)
            assert len(found) in (0, len(costs))
            assert all(0 < cost.ours < float("inf") and 0 < cost.dense < float("inf") for cost in found)
            assert [cost.ours for cost in found] == sorted(cost.ours for cost in found)
            assert TARGETS[name].break_even(layer) <= 1.0 if found else TARGETS[name].break_even(layer) == 1.0
    assert known


SIDES = st.integers(1, 5000)


@given(st.sampled_from(("x86_64", "arm64")), st.sampled_from(sorted(OPS)), SIDES, SIDES, st.integers(1, 7), SIDES)
def test_no_gain_is_read_off_that_was_not_measured(
    name: str, op: Any, out: int, inputs: int, side: int, pixels: int
) -> None:
    """Whatever the layer, ours to dense is between the shares of two measured layers of its kind."""
    table = load_table(name)
    cost = table.cost(LayerCostKey(op, out, inputs, (side, side), out_pixels=pixels), 0.2)
    grid = table.grids.get(op)
    shares = [point.at(0.2) / point.dense for point in table.points if point.layer.op == op]
    if grid is not None:
        at = list(grid.densities).index(0.2)
        shares = (np.maximum.accumulate(grid.ours, axis=-1)[..., at] / grid.dense).ravel().tolist()
    elif op == "CsrGemm" and pixels > 1:
        shares = [point.at(0.2) / point.dense for point in table.points if point.layer.op == "CsrConv"]
    assert cost is None or min(shares) * (1 - 1e-9) <= cost.ours / cost.dense <= max(shares) * (1 + 1e-9)


@pytest.mark.parametrize("shape", [(128, 128), (1, 128), (64, 64), (10, 512)])
def test_small_linear_layers_gain_little(shape: tuple[int, int]) -> None:
    """A vector of them takes about as long as the node itself, dense or sparse."""
    cost = load_table("x86_64").cost(LayerCostKey("CsrGemm", *shape), 0.2)
    assert cost is not None
    assert cost.dense < 20
    assert cost.ours > 0.3 * cost.dense


def test_linear_layers_of_many_rows_cost_what_their_multiply_adds_do() -> None:
    table = load_table("x86_64")
    costs = [table.cost(LayerCostKey("CsrGemm", 512, 512, out_pixels=rows), 0.2) for rows in (64, 256)]
    assert all(cost is not None and cost.ours < cost.dense for cost in costs)
    assert costs[1].ours > 2 * costs[0].ours


def test_without_a_grid_many_rows_cost_what_a_convolution_of_as_many_pixels_does() -> None:
    table = CostTable("µs", 0.001, (POINT,))
    assert table.cost(LayerCostKey("CsrGemm", 64, 64, out_pixels=100), 0.5) == table.cost(LAYER, 0.5)
    assert table.cost(LayerCostKey("CsrGemm", 64, 64), 0.5) is None


def test_what_is_mostly_overhead_is_not_multiplied() -> None:
    def point(channels: int, dense: float) -> CostPoint:
        return CostPoint(LayerCostKey("CsrConv", channels, 64), dense, (1.0,), (dense / 2,))

    small = [point(channels, 10 + channels / 64) for channels in (8, 16, 32, 64)]  # 10 µs and 1/64 µs a channel
    layer = LayerCostKey("CsrConv", 200, 64)
    assert CostTable("µs", 0.0, tuple(small)).cost(layer, 1.0) is None
    free = [point(channels, channels / 64) for channels in (8, 16, 32, 64)]
    found = CostTable("µs", 0.0, tuple(free)).cost(layer, 1.0)
    assert found is not None
    assert found.dense == pytest.approx(200 / 64)


def test_the_layers_of_our_networks_are_known_on_each_target() -> None:
    """The table of x86-64 has all of them; on arm64 those of few multiply-adds alone are unlike what was counted."""
    layers = [point.layer for point in load_table("x86_64").points]
    unknown = [layer for layer in layers if load_table("arm64").cost(layer, 0.2) is None]
    assert {layer for layer in layers if load_table("x86_64").cost(layer, 0.2) is None} == set()
    assert sum(layer.macs for layer in unknown) < 1e-3 * sum(layer.macs for layer in layers)


def test_between_densities_a_cost_is_on_the_line_and_never_falls() -> None:
    assert [POINT.at(density) for density in (0.0, 0.1, 0.3, 0.5, 1.0)] == [2.0, 2.0, 7.0, 12.0, 12.0]


def test_a_layer_of_twice_the_work_costs_twice() -> None:
    cost = TABLE.cost(LayerCostKey("CsrConvAdd", 64, 64, out_pixels=200), 0.3)
    assert (cost.dense, cost.ours) == pytest.approx((20.0, 14.0))


def test_the_break_even_is_where_the_costs_meet() -> None:
    assert TABLE.break_even(LAYER) == pytest.approx(1 - (0.1 + 0.4 * 0.8), abs=1e-3)
    assert CostTable("µs", 0.0, (CostPoint(LAYER, 1.0, (1.0,), (2.0,)),)).break_even(LAYER) == 1.0
    assert CostTable("µs", 0.0, (CostPoint(LAYER, 3.0, (1.0,), (2.0,)),)).break_even(LAYER) == 0.0


def test_the_nearest_window_counts_most() -> None:
    far = CostPoint(LayerCostKey("CsrConv", 64, 64, (3, 3), out_pixels=100), 900.0, (1.0,), (900.0,))
    table = CostTable("µs", 0.0, (POINT, far))
    assert table.cost(LayerCostKey("CsrConv", 64, 64, (1, 1), out_pixels=101), 1.0).dense == pytest.approx(
        10.1, rel=0.01
    )


def test_blocks_cost_their_share_of_csr_and_as_much_where_they_were_not_measured() -> None:
    point = replace(POINT, blocks={4: (0.5, 0.75, 1.2)})
    table = CostTable("µs", 0.001, (point,))
    for rows, expected in ((2, [2.0, 12.0, 12.0]), (4, [1.0, 9.0, 13.2])):
        layer = replace(LAYER, block_rows=rows)
        assert [table.cost(layer, density).ours for density in (0.1, 0.5, 1.0)] == pytest.approx(expected)


def test_blocks_of_both_sizes_are_measured() -> None:
    points = [point for point in load_table("x86_64").points if point.layer.op == "CsrConv"]
    assert all(
        set(point.blocks) == {rows for rows in (2, 4) if point.layer.out_channels % rows == 0} for point in points
    )
    assert all(len(shares) == len(point.densities) for point in points for shares in point.blocks.values())
