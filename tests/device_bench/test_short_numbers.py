from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from device_bench.short_numbers import figure, short


def test_numbers_are_short() -> None:
    told = {0: "0", 640: "640", 2176: "2.18 k", 99_999: "100 k", 408_123: "408 k", 1_179_648: "1.18 M", 5e12: "5000 G"}
    told |= {0.25: "0.25", 12.34: "12.3", 999.6: "1 k", -4096: "-4.1 k"}
    assert {value: short(value) for value in told} == told


@given(value=st.floats(1e-3, 1e12), digits=st.integers(3, 5))
def test_a_short_number_is_the_number_to_its_digits(value: float, digits: int) -> None:
    number, _, unit = short(value, digits).partition(" ")
    assert "e" not in number
    scale = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit]
    assert math.isclose(float(number) * scale, value, rel_tol=0.501 * 10 ** (1 - digits))


def test_figures_have_their_unit() -> None:
    told = {(48_123_456, "instructions"): "48.12 M instructions", (640, "cycles"): "640 cycles"}
    told |= {(4.81234, "ms"): "4.812 ms", (12_345.6, "us"): "12,346 us", (999.96, "ms"): "1000 ms"}
    assert {given: figure(*given) for given in told} == told
