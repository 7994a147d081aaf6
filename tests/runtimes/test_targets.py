"""The registry of targets and the break-even of a layer."""

from __future__ import annotations

import itertools

import pytest

from runtimes import PLATFORMS, TARGETS, LayerShape, UnknownTargetError, get_target


def test_the_registry() -> None:
    assert set(TARGETS) == {"arm64", "x86_64"}
    for name, target in TARGETS.items():
        assert get_target(name) is target
        assert target.name == name
        assert set(target.platforms.values()) <= set(PLATFORMS)
        assert all(path.startswith("lib/") and path.endswith("/libchita_edge.so") for path in target.platforms)
        assert target.break_even_reason
    assert "lib/android/arm64-v8a/libchita_edge.so" in get_target("arm64").platforms
    assert "estimate" in get_target("arm64").break_even_reason


def test_an_unknown_target_is_a_sentence() -> None:
    with pytest.raises(UnknownTargetError, match="there is no target 'riscv'; there are arm64, x86_64"):
        get_target("riscv")


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_point_of_the_table_is_its_own_break_even(name: str) -> None:
    target = get_target(name)
    assert {point.layer.op for point in target.points} == {"CsrConv", "CsrGemm"}
    for point in target.points:
        assert target.break_even(point.layer) == point.sparsity
        assert 0 <= point.sparsity <= 1


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_any_layer_has_a_break_even(name: str) -> None:
    target = get_target(name)
    for channels, pixels in itertools.product((1, 100, 5000), (1, 777, 10**6)):
        for op in ("CsrConv", "CsrGemm"):
            assert 0 <= target.break_even(LayerShape(op, channels, channels, out_pixels=pixels)) <= 1
    assert target.break_even(LayerShape("CsrConv", 64, 64, kernel=(7, 7), out_pixels=49)) == 1.0
