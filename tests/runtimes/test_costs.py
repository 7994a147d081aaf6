"""The cost tables: what is in them, and what is read off them for layers that are not."""

import itertools
from dataclasses import replace

import pytest

from runtimes import TARGETS, LayerShape
from runtimes.costs import CostPoint, CostTable, load_table

OPS = {"CsrConv", "CsrGemm", "DepthwiseConv", "DenseConv"}
LAYER = LayerShape("CsrConv", 64, 64, out_pixels=100)
POINT = CostPoint(LAYER, 10.0, (0.1, 0.5, 1.0), (2.0, 12.0, 11.0))
TABLE = CostTable("µs", 0.001, (POINT,))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_measured_layer_costs_what_was_measured(name: str) -> None:
    table = load_table(name)
    assert {point.layer.op for point in table.points} == OPS
    assert table.reorder > 0
    for point in table.points:
        cost = table.cost(point.layer, point.densities[-1])
        assert (cost.dense, cost.ours) == pytest.approx((point.dense, max(point.ours)))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_windows_are_measured_as_well(name: str) -> None:
    assert {point.layer.kernel for point in load_table(name).points if point.layer.op == "CsrConv"} >= {(1, 1), (3, 3)}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_any_layer_has_a_cost_that_does_not_fall_with_density(name: str) -> None:
    for channels, pixels, kernel in itertools.product((1, 100, 5000), (1, 777, 10**6), (1, 3, 7)):
        for op in sorted(OPS):
            layer = LayerShape(op, channels, channels, (kernel, kernel), out_pixels=pixels)
            costs = [TARGETS[name].table.cost(layer, percent / 100) for percent in range(0, 101, 10)]
            assert all(0 < cost.ours < float("inf") and 0 < cost.dense < float("inf") for cost in costs)
            assert [cost.ours for cost in costs] == sorted(cost.ours for cost in costs)
            assert 0 <= TARGETS[name].break_even(layer) <= 1


def test_between_densities_a_cost_is_on_the_line_and_never_falls() -> None:
    assert [POINT.at(density) for density in (0.0, 0.1, 0.3, 0.5, 1.0)] == [2.0, 2.0, 7.0, 12.0, 12.0]


def test_a_layer_of_twice_the_work_costs_twice() -> None:
    cost = TABLE.cost(LayerShape("CsrConvAdd", 64, 64, out_pixels=200), 0.3)
    assert (cost.dense, cost.ours) == pytest.approx((20.0, 14.0))


def test_the_break_even_is_where_the_costs_meet() -> None:
    assert TABLE.break_even(LAYER) == pytest.approx(1 - (0.1 + 0.4 * 0.8), abs=1e-3)
    assert CostTable("µs", 0.0, (CostPoint(LAYER, 1.0, (1.0,), (2.0,)),)).break_even(LAYER) == 1.0
    assert CostTable("µs", 0.0, (CostPoint(LAYER, 3.0, (1.0,), (2.0,)),)).break_even(LAYER) == 0.0


def test_the_nearest_window_counts_most() -> None:
    far = CostPoint(LayerShape("CsrConv", 64, 64, (3, 3), out_pixels=100), 900.0, (1.0,), (900.0,))
    table = CostTable("µs", 0.0, (POINT, far))
    assert table.cost(LayerShape("CsrConv", 64, 64, (1, 1), out_pixels=101), 1.0).dense == pytest.approx(10.1, rel=0.01)


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
