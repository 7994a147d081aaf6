"""Rates of int8 layers: what each term adds, and that the tables of all targets say enough."""

from __future__ import annotations

import math

import pytest

from runtimes import TARGETS
from runtimes.int8_costs import Gathered, Int8Rates, gathered_inputs, load_int8_rates

RATES = Int8Rates(
    "µs", {"dense": 1.0, "1x4": 2.0, "2x4": 1.5, "depthwise": 3.0}, 10.0, 0.5, 100.0, 7.0, 3.0,
    {"dense": 2.0, "depthwise": 4.0, "output": 20.0, "stage": 200.0},
)  # fmt: skip


def test_terms_of_a_layer() -> None:
    assert RATES.layer("dense", 6, 4) == 6 + 40 + 100
    assert RATES.layer("1x4", 3, 4, Gathered(2, 5)) == 6 + 40 + 14 + 15 + 100
    assert RATES.depthwise_layer(6, 4) == 18 + 40 + 28 + 100
    assert RATES.depthwise_layer(6, 4, (2, 1)) == 18 + 40 + 56 + 100
    assert RATES.elements(8) == 4 + 100
    assert RATES.onnxruntime_layer("dense", 6, 4) == 12 + 80 + 200
    assert RATES.onnxruntime_layer("depthwise", 6, 4) == 24 + 80 + 200


def test_inputs_are_copied_for_windows_and_steps_alone() -> None:
    assert gathered_inputs(8, (1, 1), (1, 1), 100) == Gathered(0, 0)
    assert gathered_inputs(8, (3, 3), (1, 1), 100) == Gathered(7200, 0)
    assert gathered_inputs(8, (1, 9), (1, 1), 100) == Gathered(7200, 0)
    assert gathered_inputs(8, (3, 3), (2, 2), 100) == Gathered(7200, 3200)
    assert gathered_inputs(8, (1, 1), (2, 2), 100) == Gathered(0, 800)


def test_steps_of_windows_cost_something_on_this_processor() -> None:
    assert load_int8_rates("x86_64").split > load_int8_rates("x86_64").gathered > 0


def test_what_was_not_measured_is_never_cheaper() -> None:
    unknown = Int8Rates("instructions", RATES.products, 10.0, 0.5, 100.0)
    assert math.isinf(unknown.onnxruntime_layer("dense", 1, 1))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_blocks_pay_from_half_zeros_on(target: str) -> None:
    rates = load_int8_rates(target)
    macs, outputs = 10**8, 10**5
    assert rates.layer("1x4", macs // 2, outputs) < rates.layer("dense", macs, outputs)
    assert rates.layer("2x4", macs // 2, outputs) < rates.layer("1x4", macs // 2, outputs)
    assert rates.layer("1x4", macs, outputs) > rates.layer("dense", macs, outputs)
